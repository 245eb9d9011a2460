// How many tokens a text has at most, for models whose tokenizer is out of reach.
#pragma once

#include <string_view>

namespace lectern {

// By script, so high that the common tokenizers (Qwen2, Llama 3, cl100k and their like) stay below on running
// text, source code and tables: a letter of an ASCII word a third, a Greek, Chinese, Japanese or Korean
// character one and a half, other letters one (Latin, Cyrillic) or two, a digit, sign or line break one, a
// character beyond the Basic Multilingual Plane four. Any bytes; linear. docs/remote_models.md has
// measurements.
int estimate_tokens(std::string_view text);

}  // namespace lectern
