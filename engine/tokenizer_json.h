// The vocabulary in a tokenizer.json, the file of the `tokenizers` library. Only what a Qwen2 model needs is
// read; a tokenizer of another kind is refused by name, since reading it as Qwen2's would be quietly wrong.
#pragma once

#include <string>
#include <string_view>

#include "engine/model_file.h"

namespace lectern {

// Ids that the file leaves out are unused tokens. Throws Error(kCorrupt, kUnsupported) naming `origin`.
Vocabulary read_tokenizer_json(std::string_view text, const std::string& origin);

}  // namespace lectern
