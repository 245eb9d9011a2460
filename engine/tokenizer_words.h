// The Qwen2 pre-tokenizer: cuts normalised text into the words that BPE merges within. Pure functions,
// thread-safe.
//
// The reference is the regular expression
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|
//   ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// as Oniguruma with Unicode 16 reads it. It is written out by hand because a backtracking engine is slow, may
// recurse on hostile input, and follows the Unicode version of its own library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lectern {

// What the expression tells apart. Every code point has exactly one class; \s is kSpace or kNewline.
enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace, kNewline };

CharClass char_class(char32_t code_point);

// The end of the word that starts at text[begin]; `text` is well-formed UTF-8 and begin < text.size().
// Walking through a text this way takes time linear in its length.
size_t word_end(std::string_view text, size_t begin);

}  // namespace lectern
