#include "agent/token_estimate.h"

#include <algorithm>
#include <climits>
#include <cstdint>

#include "base/utf8.h"

namespace lectern {
namespace {

// In sixths of a token.
constexpr int64_t kSixths = 6;

bool is_ascii_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int64_t sixths_of(char32_t c) {
  if (c < 0x80) return kSixths;             // digits, signs, line breaks
  if (c >= 0x370 && c < 0x400) return 9;    // Greek
  if (c < 0x530) return kSixths;            // Latin, Cyrillic
  if (c >= 0x2E80 && c < 0xFB00) return 9;  // Han, Kana, Hangul and their marks
  if (c >= 0xFF00 && c < 0xFFF0) return 9;  // full-width forms
  if (c >= 0x10000) return 4 * kSixths;
  return 2 * kSixths;
}

}  // namespace

int estimate_tokens(std::string_view text) {
  int64_t sixths = 0;
  size_t run = 0;  // of ASCII letters, or of blanks
  bool letters = false;
  const auto end_run = [&] {
    // A short word is one token; a blank goes with the word after it, longer runs are tokens of their own.
    if (run > 0 && letters) sixths += std::max<int64_t>(kSixths, 2 * static_cast<int64_t>(run));
    if (run > 1 && !letters) sixths += kSixths * static_cast<int64_t>((run + 3) / 4);
    run = 0;
  };
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    i += d.length;
    const bool letter = is_ascii_letter(d.code_point);
    const bool blank = d.code_point == ' ' || d.code_point == '\t';
    if (run > 0 && (letter != letters || (!letter && !blank))) end_run();
    if (letter || blank) {
      letters = letter;
      ++run;
    } else {
      sixths += sixths_of(d.code_point);
    }
  }
  end_run();
  return static_cast<int>(std::min<int64_t>((sixths + kSixths - 1) / kSixths, INT_MAX));
}

}  // namespace lectern
