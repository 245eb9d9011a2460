// Function words and function characters of the languages we know by name: they tell languages apart and are
// dropped from queries. Constant data; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lectern {

struct LanguageWords {
  const char* language;  // two-letter code
  const char* words;     // case-folded, separated by single spaces
};

std::span<const LanguageWords> function_words();

// Han and Kana that carry grammar rather than content; a bigram of two such says little about a topic.
std::u32string_view function_characters();

}  // namespace lectern
