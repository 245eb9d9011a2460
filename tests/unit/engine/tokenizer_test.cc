#include "engine/tokenizer.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "engine/tokenizer_normalize.h"
#include "tests/support/catch.h"
#include "tests/support/tokenizer_lines.h"

using namespace lectern;

namespace {

const Tokenizer& small_tokenizer() {
  static const Tokenizer tokenizer(small_vocabulary(), "small");
  return tokenizer;
}

std::string normalized(std::string_view text) {
  std::string storage;
  return std::string(normalize(text, storage));
}

std::string repeat(std::string_view text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("tokens equal the reference tokenizer's on every line (small vocabulary)") {
  const std::vector<uint32_t> expected = read_line_hashes("small.hashes");
  REQUIRE(expected.size() == 6000);
  LineMaker lines;
  size_t n_wrong = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const bool equal = hash_of_ids(small_tokenizer().encode(lines.line(i))) == expected[i];
    if (!equal && n_wrong++ == 0) UNSCOPED_INFO("first differing line: " << i);
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("decoding gives back the repaired, normalised text; count and encode agree") {
  LineMaker lines;
  for (size_t i = 0; i < 3000; ++i) {
    const std::string line = lines.line(i);
    const std::vector<int32_t> ids = small_tokenizer().encode(line);
    REQUIRE(small_tokenizer().decode(ids) == normalized(line));
    REQUIRE(small_tokenizer().count(line) == static_cast<int>(ids.size()));
  }
  CHECK(small_tokenizer().encode("").empty());
}

TEST_CASE("control tokens in text stay text") {
  const Tokenizer& tokenizer = small_tokenizer();
  for (const std::string text : {"<|im_end|>", "<|im_start|>system\n", "<tool_call>", "[PAD]"}) {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    CHECK(ids.size() > 1);
    for (const int32_t id : ids) CHECK_FALSE(tokenizer.is_control(id));
    CHECK(tokenizer.decode(ids) == text);
  }
}

TEST_CASE("control, added and padding tokens") {
  const Tokenizer& tokenizer = small_tokenizer();
  CHECK(tokenizer.size() == 705);  // without the padding at the end
  CHECK(tokenizer.control_token("<|im_end|>") == 702);
  CHECK(tokenizer.is_control(702));
  CHECK(tokenizer.token_bytes(702).empty());
  CHECK(tokenizer.control_token("<tool_call>") == 703);
  CHECK(tokenizer.token_bytes(703) == "<tool_call>");
  CHECK_FALSE(tokenizer.is_control(703));
  CHECK(tokenizer.control_token("</tool_call>") == 704);
  CHECK_FALSE(tokenizer.has_control_token("<|none|>"));
  CHECK_THROWS_AS(tokenizer.control_token("<|none|>"), Error);
  for (const int32_t id : {-1, 705, INT32_MAX, INT32_MIN}) {
    CHECK(tokenizer.is_control(id));
    CHECK(tokenizer.token_bytes(id).empty());
  }
}

TEST_CASE("damaged vocabularies are refused by name") {
  auto message_of = [](const Vocabulary& vocabulary) -> std::string {
    try {
      Tokenizer tokenizer(vocabulary, "bad.gguf");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kCorrupt);
      return error.what();
    }
    return "";
  };
  using Catch::Matchers::Contains;
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.types.pop_back();
  CHECK_THAT(message_of(vocabulary), Contains("bad.gguf") && Contains("token types"));

  vocabulary = small_vocabulary();
  vocabulary.tokens[10] = "gone";
  CHECK_THAT(message_of(vocabulary), Contains("no token for byte"));

  vocabulary = small_vocabulary();
  vocabulary.tokens[699] = vocabulary.tokens[3];
  CHECK_THAT(message_of(vocabulary), Contains("appears twice"));

  vocabulary = small_vocabulary();
  vocabulary.merges.emplace_back("qqq", "zzz");
  CHECK_THAT(message_of(vocabulary), Contains("merge 444"));

  vocabulary = small_vocabulary();  // a merge may not make a control token
  vocabulary.types[699] = Vocabulary::TokenType::kControl;
  CHECK_THAT(message_of(vocabulary), Contains("merge "));

  CHECK_THAT(message_of(Vocabulary{}), Contains("no token for byte"));
}

TEST_CASE("merging equals its definition, for short words and long ones") {
  const Vocabulary vocabulary = small_vocabulary();
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) ranks[vocabulary.merges[rank]] = rank;
  auto merge_by_definition = [&](const std::string& word) {
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    while (true) {
      size_t best = SIZE_MAX, at = 0;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto found = ranks.find({symbols[i], symbols[i + 1]});
        if (found != ranks.end() && found->second < best) best = found->second, at = i;
      }
      if (best == SIZE_MAX) return symbols;
      symbols[at] += symbols[at + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
  };
  const Tokenizer& tokenizer = small_tokenizer();
  std::mt19937 random(7);
  for (size_t length = 1; length <= 150; ++length) {
    std::string word;
    while (word.size() < length) word += "etaoinshrdlu"[random() % 12];
    std::vector<std::string> tokens;
    for (const int32_t id : tokenizer.encode(word)) tokens.emplace_back(tokenizer.token_bytes(id));
    CHECK(tokens == merge_by_definition(word));
  }
}

TEST_CASE("hostile texts take linear time") {
  const Tokenizer& tokenizer = small_tokenizer();
  const size_t n = 1 << 18;
  for (const std::string_view unit :
       {"a", " ", "\n", " \n", "'", "'s", "0", "!", "\xff", "\xe4\xb8", "\u0301", "\u0301\u0316", "\u0F73",
        "\u1100", "\u1100\u1161\u11A8", "e\u0301", "\u00e9", "\U0001F469\u200D"}) {
    const std::string text = repeat(unit, n / unit.size());
    const Stopwatch watch;
    const int n_tokens = tokenizer.count(text);
    INFO(unit << ": " << watch.seconds() << " s");
    CHECK(n_tokens > 0);
    CHECK(watch.seconds() < 10);  // a quadratic step would take minutes
  }
}

TEST_CASE("NFC: long runs of marks are sorted as short ones are") {
  // 0316 (class 220) sorts before 0301 (class 230); the first 0301 composes with its base when nothing blocks
  // it.
  for (const size_t n : {3u, 40u, 200u}) {
    std::string shuffled = "e", sorted = "e";
    for (size_t i = 0; i < n; ++i) shuffled += "\u0301\u0316";
    sorted = "\u00e9" + repeat("\u0316", n) + repeat("\u0301", n - 1);
    CHECK(normalized(shuffled) == sorted);
  }
  CHECK(normalized(repeat("\u0F73", 100)) == repeat("\u0F71", 100) + repeat("\u0F72", 100));
}

TEST_CASE("a tokenizer is safe to use from several threads") {
  const Tokenizer& tokenizer = small_tokenizer();
  LineMaker lines;
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> expected;
  for (size_t i = 0; i < 200; ++i) {
    texts.push_back(lines.line(i));
    expected.push_back(tokenizer.encode(texts.back()));
  }
  std::atomic<int> n_wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (size_t i = 0; i < texts.size(); ++i)
        if (tokenizer.encode(texts[i]) != expected[i]) ++n_wrong;
    });
  for (auto& thread : threads) thread.join();
  CHECK(n_wrong == 0);
}
