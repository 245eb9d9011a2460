// The tokenizer and the chat template with the vocabulary of a real model.
#include "engine/tokenizer.h"

#include "engine/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/chat_cases.h"
#include "tests/support/real_models.h"

using namespace lectern;

TEST_CASE("tokens equal the reference tokenizer's on 24,000 lines (Qwen2.5 vocabulary)") {
  const auto path = real_model_path(kSmallModelFile);
  if (!std::filesystem::exists(path)) LECTERN_SKIP(path.string() + " is not there");
  const Tokenizer tokenizer(ModelFile::open(path)->vocabulary(), path.string());
  CHECK(tokenizer.size() == 151665);
  const std::vector<uint32_t> expected = read_line_hashes("qwen2.hashes");
  REQUIRE(expected.size() == 24000);
  LineMaker lines;
  size_t n_wrong = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const bool equal = hash_of_ids(tokenizer.encode(lines.line(i))) == expected[i];
    if (!equal && n_wrong++ == 0) UNSCOPED_INFO("first differing line: " << i);
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("prompts equal the reference's, token for token (Qwen2.5 vocabulary)") {
  const auto path = real_model_path(kSmallModelFile);
  if (!std::filesystem::exists(path)) LECTERN_SKIP(path.string() + " is not there");
  const Tokenizer tokenizer(ModelFile::open(path)->vocabulary(), path.string());
  const ChatTemplate chat_template(tokenizer);
  int n_compared = 0;
  for (const ChatCase& chat : read_chat_cases()) {
    if (chat.ids.empty()) continue;
    CHECK(chat_template.render(chat.messages, chat.tools, chat.prefix) == chat.ids);
    ++n_compared;
  }
  CHECK(n_compared == 15);
}
