#include "engine/tokenizer_words.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace lectern {
namespace {

// Letters and numbers that Unicode 15.1 and 16 added: the reference knows them, ICU 72 (Unicode 15) does not.
struct CharRange {
  char32_t first, last;
  CharClass char_class;
};
constexpr CharRange kUnicode16Additions[] = {
    {0x1C89, 0x1C8A, CharClass::kLetter},   {0xA7CB, 0xA7CD, CharClass::kLetter},
    {0xA7DA, 0xA7DC, CharClass::kLetter},   {0x105C0, 0x105F3, CharClass::kLetter},
    {0x10D40, 0x10D49, CharClass::kNumber}, {0x10D4A, 0x10D65, CharClass::kLetter},
    {0x10D6F, 0x10D85, CharClass::kLetter}, {0x10EC2, 0x10EC4, CharClass::kLetter},
    {0x11380, 0x11389, CharClass::kLetter}, {0x1138B, 0x1138B, CharClass::kLetter},
    {0x1138E, 0x1138E, CharClass::kLetter}, {0x11390, 0x113B5, CharClass::kLetter},
    {0x113B7, 0x113B7, CharClass::kLetter}, {0x113D1, 0x113D1, CharClass::kLetter},
    {0x113D3, 0x113D3, CharClass::kLetter}, {0x116D0, 0x116E3, CharClass::kNumber},
    {0x11BC0, 0x11BE0, CharClass::kLetter}, {0x11BF0, 0x11BF9, CharClass::kNumber},
    {0x13460, 0x143FA, CharClass::kLetter}, {0x16100, 0x1611D, CharClass::kLetter},
    {0x16130, 0x16139, CharClass::kNumber}, {0x16D40, 0x16D6C, CharClass::kLetter},
    {0x16D70, 0x16D79, CharClass::kNumber}, {0x18CFF, 0x18CFF, CharClass::kLetter},
    {0x1CCF0, 0x1CCF9, CharClass::kNumber}, {0x1E5D0, 0x1E5ED, CharClass::kLetter},
    {0x1E5F0, 0x1E5F0, CharClass::kLetter}, {0x1E5F1, 0x1E5FA, CharClass::kNumber},
    {0x2EBF0, 0x2EE5D, CharClass::kLetter},
};

CharClass class_of_unassigned(char32_t c) {
  const auto* range = std::upper_bound(std::begin(kUnicode16Additions), std::end(kUnicode16Additions), c,
                                       [](char32_t value, const CharRange& r) { return value < r.first; });
  if (range == std::begin(kUnicode16Additions)) return CharClass::kOther;
  --range;
  return c <= range->last ? range->char_class : CharClass::kOther;
}

constexpr CharClass ascii_class(char32_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharClass::kLetter;
  if (c >= '0' && c <= '9') return CharClass::kNumber;
  if (c == '\r' || c == '\n') return CharClass::kNewline;
  if (c == ' ' || (c >= '\t' && c <= '\f')) return CharClass::kSpace;
  return CharClass::kOther;
}

constexpr auto kAsciiClass = [] {
  std::array<CharClass, 128> table{};
  for (char32_t c = 0; c < 128; ++c) table[c] = ascii_class(c);
  return table;
}();

// Walks over text that is known to be well-formed.
struct Cursor {
  std::string_view text;
  size_t offset;

  bool at_end() const { return offset >= text.size(); }
  uint8_t byte(size_t index) const { return static_cast<uint8_t>(text[offset + index]); }

  size_t length() const {
    const uint8_t lead = byte(0);
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  }
  char32_t code_point() const {
    const uint8_t lead = byte(0);
    if (lead < 0x80) return lead;
    if (lead < 0xE0) return (lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
    if (lead < 0xF0) return (lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    return (lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu);
  }
  CharClass char_class() const { return lectern::char_class(code_point()); }
  bool is(CharClass wanted) const { return !at_end() && char_class() == wanted; }
  void next() { offset += length(); }
  void skip(CharClass wanted) {
    while (is(wanted)) next();
  }
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d) at an apostrophe: its length in bytes, or 0. Case folding adds one surprise,
// U+017F (long s, two bytes), which folds to s.
size_t contraction_length(std::string_view rest) {
  auto lower = [&](size_t index) {
    return index < rest.size() ? static_cast<char>(rest[index] | 0x20) : '\0';
  };
  switch (lower(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return lower(2) == 'e' ? 3 : 0;
    case 'l':
      return lower(2) == 'l' ? 3 : 0;
    default:
      return rest.substr(1, 2) == "\u017F" ? 3 : 0;
  }
}

// \s*[\r\n]+ | \s+(?!\S) | \s+ : up to the last line break of the run; without one, all of a run that ends
// the text; otherwise all but the last character, which belongs to the word after it.
size_t whitespace_end(Cursor cursor) {
  size_t after_newline = 0;
  size_t last = cursor.offset;
  const size_t begin = cursor.offset;
  while (!cursor.at_end()) {
    const CharClass c = cursor.char_class();
    if (c != CharClass::kSpace && c != CharClass::kNewline) break;
    last = cursor.offset;
    cursor.next();
    if (c == CharClass::kNewline) after_newline = cursor.offset;
  }
  if (after_newline > 0) return after_newline;
  return cursor.at_end() || last == begin ? cursor.offset : last;
}

// [^\s\p{L}\p{N}]+[\r\n]*
size_t punctuation_end(Cursor cursor) {
  cursor.skip(CharClass::kOther);
  cursor.skip(CharClass::kNewline);
  return cursor.offset;
}

}  // namespace

CharClass char_class(char32_t code_point) {
  if (code_point < 128) return kAsciiClass[code_point];
  const auto c = static_cast<UChar32>(code_point);
  const uint32_t category = U_GET_GC_MASK(c);
  if (category & U_GC_L_MASK) return CharClass::kLetter;
  if (category & U_GC_N_MASK) return CharClass::kNumber;
  if (category & U_GC_CN_MASK) return class_of_unassigned(code_point);
  return u_isUWhiteSpace(c) ? CharClass::kSpace : CharClass::kOther;
}

size_t word_end(std::string_view text, size_t begin) {
  Cursor cursor{text, begin};
  const char first = text[begin];
  const CharClass first_class = cursor.char_class();
  if (first == '\'') {
    if (const size_t length = contraction_length(text.substr(begin)); length > 0) return begin + length;
  }
  cursor.next();
  switch (first_class) {
    case CharClass::kLetter:
      cursor.skip(CharClass::kLetter);
      return cursor.offset;
    case CharClass::kNumber:
      return cursor.offset;
    case CharClass::kNewline:
      return whitespace_end(Cursor{text, begin});
    case CharClass::kSpace:
    case CharClass::kOther:
      break;
  }
  if (cursor.is(CharClass::kLetter)) {  // one leading space or sign belongs to the letters
    cursor.skip(CharClass::kLetter);
    return cursor.offset;
  }
  if (first_class == CharClass::kOther || (first == ' ' && cursor.is(CharClass::kOther)))
    return punctuation_end(cursor);
  return whitespace_end(Cursor{text, begin});
}

}  // namespace lectern
