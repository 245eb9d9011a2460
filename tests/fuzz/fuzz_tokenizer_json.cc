// Any bytes as a tokenizer.json; what reads must make a tokenizer or give an error, and text must come back.
#include "base/error.h"
#include "engine/tokenizer.h"
#include "engine/tokenizer_json.h"

using namespace lectern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Tokenizer tokenizer(read_tokenizer_json(text, "input"), "input");
    const std::string sample = "the thing <|im_end|> of 中中\r\n  123";
    if (tokenizer.decode(tokenizer.encode(sample)) != sample) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
