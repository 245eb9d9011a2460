// A JSON schema, a zero byte, and bytes that choose tokens: whatever compiles only lets through tokens that
// lead to JSON that parses.
#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "engine/grammar.h"
#include "tests/support/tokenizer_lines.h"

using namespace lectern;

namespace {

// The allowed token nearest to `wish`, upwards and round.
int32_t choose(std::span<const uint64_t> mask, int32_t n_tokens, int32_t wish) {
  for (int32_t i = 0; i < n_tokens; ++i) {
    const int32_t id = (wish + i) % n_tokens;
    if (mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) return id;
  }
  return -1;
}

void walk(const std::shared_ptr<const Grammar>& grammar, const Tokenizer& tokenizer,
          std::string_view choices) {
  GrammarState state(grammar, tokenizer);
  std::string text;
  for (const char choice : choices) {
    if (state.finished()) break;
    const int32_t token =
        choose(state.mask(), tokenizer.size(), static_cast<uint8_t>(choice) * tokenizer.size() / 256);
    if (token < 0) std::abort();  // a dead end
    state.accept(token);
    text += tokenizer.token_bytes(token);
  }
  if (state.complete()) parse_json(text, "walk");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer(small_vocabulary(), "small");
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  std::shared_ptr<const Grammar> grammar;
  try {
    grammar = Grammar::from_json_schema(parse_json(input.substr(0, end), "schema"));
  } catch (const Error&) {
    return 0;
  }
  walk(grammar, tokenizer, input.substr(std::min(end + 1, size)));
  return 0;
}
