// UTF-8 text: decoding, validation, repair, counting. All functions take any bytes and never read past the
// end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lectern::utf8 {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Decoded {
  char32_t code_point;  // kReplacement for an ill-formed sequence
  uint8_t length;       // bytes consumed, at least 1
  bool valid;
};

// Decodes the sequence at text[offset] (offset < text.size()). An ill-formed sequence consumes its maximal
// valid prefix, as the Unicode standard recommends (section 3.9, "U+FFFD Substitution of Maximal Subparts")
// and as Python's and Rust's lossy decoders do.
Decoded decode(std::string_view text, size_t offset);

void append(std::string& out, char32_t code_point);
bool is_valid(std::string_view text);
// Replaces every ill-formed sequence by U+FFFD.
std::string repair(std::string_view text);
// Number of code points; an ill-formed sequence counts as one.
size_t count(std::string_view text);
// The longest prefix of at most `max_bytes` bytes that does not end inside a sequence.
std::string_view prefix(std::string_view text, size_t max_bytes);
// How many bytes at the end of `text` may be the beginning of a sequence still to be completed (0 to 3): what
// a streaming writer holds back.
size_t incomplete_tail(std::string_view text);

}  // namespace lectern::utf8
