// Any bytes: encoding never fails, and decoding gives back the repaired, normalised text.
#include <cstdlib>

#include "engine/tokenizer.h"
#include "engine/tokenizer_normalize.h"
#include "tests/support/tokenizer_lines.h"

using namespace lectern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer(small_vocabulary(), "small");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  std::string storage;
  if (tokenizer.decode(ids) != normalize(text, storage)) std::abort();
  if (tokenizer.count(text) != static_cast<int>(ids.size())) std::abort();
  for (const int32_t id : ids)
    if (tokenizer.is_control(id)) std::abort();
  return 0;
}
