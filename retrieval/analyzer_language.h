// Which language a text is in, and stems of its words. guess_language may be called from any thread; a
// Stemmer belongs to one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/analyzer_text.h"

struct sb_stemmer;

namespace lectern {

using LanguageId = uint8_t;  // index into the table of known languages; 0: unknown
inline constexpr LanguageId kNoLanguage = 0;

LanguageId language_id(std::string_view code);  // kNoLanguage for one we do not know by name
std::string_view language_code(LanguageId id);

// Languages a text is likely in: each has that many clear words' lead.
struct LanguagePrior {
  std::span<const LanguageId> languages;
  double votes = 0;
};
// kNoLanguage when nothing tells.
LanguageId guess_language(const std::vector<Character>& text, const LanguagePrior& prior);

// The language whose stemmer treats words of `script` in a text of `language`: a Chinese page's Latin words
// are taken for English ones.
LanguageId stemming_language(LanguageId language, Script script);

// Is the case-folded word one of the language's function words?
bool is_function_word(LanguageId language, const std::string& word);
bool is_function_character(char32_t code_point);

class Stemmer {
 public:
  Stemmer();
  ~Stemmer();
  Stemmer(Stemmer&&) noexcept;

  // The stem of a case-folded word, with apostrophes and diacritics gone; at most kMaxTermBytes bytes. Valid
  // until the next call.
  std::string_view stem(LanguageId language, std::string_view word);

 private:
  struct Entry {
    LanguageId language = kNoLanguage;
    std::string word;
    std::string stem;
  };

  void compute(LanguageId language, std::string_view word, std::string& stem);
  sb_stemmer* algorithm(LanguageId language);

  std::vector<sb_stemmer*> algorithms_;  // by language, made on first use
  std::vector<Entry> cache_;             // direct-mapped
};

inline constexpr size_t kMaxTermBytes = 64;

// `word` with every character replaced by its base (CharInfo::base).
void append_without_diacritics(std::string_view word, std::string& out);

}  // namespace lectern
