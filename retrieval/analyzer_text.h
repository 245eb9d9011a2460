// The first half of the analyzer: any bytes to case-folded, normalised characters, each with its class, its
// script and the bytes it came from. Tables of character properties are built page by page on first use and
// shared by all threads; a FoldedText belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

enum class CharClass : uint8_t {
  kOther,       // separates
  kLetter,      // of words written between separators
  kDigit,       // decimal digits of every script, folded to ASCII
  kMark,        // continues the letter before it (and nothing else)
  kHanKana,     // Han, Hiragana, Katakana, Bopomofo: bigrams
  kHangul,      // bigrams and words
  kDictionary,  // Thai, Lao, Khmer, Burmese: words without separators
};

// The scripts that decide a stemmer or a language.
enum class Script : uint8_t {
  kCommon,
  kLatin,
  kGreek,
  kCyrillic,
  kArabic,
  kHebrew,
  kDevanagari,
  kArmenian,
  kTamil,
  kHan,
  kKana,
  kHangul,
  kThai,
  kLao,
  kKhmer,
  kMyanmar,
  kUnknown,  // any other
  kCount,
};

struct CharInfo {
  char32_t simple = 0;  // traditional Han to simplified, digits to ASCII, apostrophes and hyphens to one form
  char32_t base = 0;    // `simple` without its diacritics; 0: the mark goes
  CharClass char_class = CharClass::kOther;
  Script script = Script::kCommon;
};

const CharInfo& char_info(char32_t code_point);

struct Character {
  char32_t code_point = 0;      // NFKC_Casefold, then CharInfo::simple
  uint32_t begin = 0, end = 0;  // bytes of the original
  CharClass char_class = CharClass::kOther;
  Script script = Script::kCommon;
  bool upper = false;  // the original was an ASCII capital letter
};

class FoldedText {
 public:
  FoldedText();
  ~FoldedText();
  FoldedText(FoldedText&&) noexcept;

  // Replaces what it held by the characters of `text`, which must be shorter than 4 GiB.
  void assign(std::string_view text);
  const std::vector<Character>& characters() const { return characters_; }

 private:
  void append_ascii(std::string_view text, size_t begin, size_t end);
  void append_normalised(std::string_view text, size_t begin, size_t end);
  void append(char32_t code_point, size_t begin, size_t end);

  struct Icu;
  std::unique_ptr<Icu> icu_;
  std::vector<Character> characters_;
};

// Versions of ICU and of its Unicode data, such as "icu-72.1/unicode-15.0".
std::string unicode_version();

// Word borders inside a run of Thai, Lao, Khmer or Burmese characters, by ICU's dictionaries.
class DictionaryBreaker {
 public:
  DictionaryBreaker();
  ~DictionaryBreaker();
  DictionaryBreaker(DictionaryBreaker&&) noexcept;

  // Ends of the words of `run`, ascending, as counts of code points; the last is run.size().
  void split(std::u32string_view run, std::vector<size_t>& ends);

 private:
  struct Icu;
  std::unique_ptr<Icu> icu_;
};

}  // namespace lectern
