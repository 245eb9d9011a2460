// The agent's own light analysis of text: sentences with their byte ranges and comparable terms. It serves
// only to tell which sentence supports a claim; searching has a full analyzer (retrieval). Any bytes; linear;
// thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

struct TextRange {
  size_t begin = 0, end = 0;

  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
  bool operator==(const TextRange&) const = default;
};

// Sentences without surrounding blanks, in order, disjoint. A line break ends a sentence only when the line
// is a paragraph, a heading or an item of its own; abbreviations, initials and decimals do not end one. A
// sentence of more than `max_bytes` is cut at clause marks, then at blanks.
std::vector<TextRange> split_sentences(std::string_view text, size_t max_bytes = 600);

// Whether the '.', '!', '?', or wide form that begins at byte `i` of `text` ends a sentence, judged by what
// is around it.
bool ends_sentence(std::string_view text, size_t i);

struct SupportTerm {
  std::string text;     // folded and lightly stemmed word, or a pair of characters of an unspaced script
  bool strong = false;  // a number, or a word written as a name: what a claim stands or falls with

  bool operator==(const SupportTerm&) const = default;
};

// Terms in order, duplicates kept, function words dropped.
std::vector<SupportTerm> support_terms(std::string_view text);

bool ends_in_question_mark(std::string_view text);

// The English word of a number from 0 to 12 in digits; "" for others.
std::string_view number_word(std::string_view digits);

// Whether one of the words is anywhere in the text, within others too.
bool holds_any(std::string_view text, std::span<const std::string_view> words);

// Every sign between Latin words a blank, one at each end: for holds_word(). Of flattened text.
std::string words_apart(std::string_view flat);
// Whether one of the words, or sequences of words, is in the text that words_apart() made, at word
// boundaries.
bool holds_word(std::string_view apart, std::span<const std::string_view> words);

// Case folded, blanks to one and to none between characters of scripts without, without characters that are
// not seen (zero-width ones, marks of direction): how wordings are compared.
std::string flatten(std::string_view text);

// Case folding of Latin, Greek, Cyrillic and full-width letters; other characters as they are.
char32_t fold_case(char32_t c);
bool is_unspaced_script(char32_t c);  // Han, Kana, Thai, Lao, Khmer, Burmese
bool is_word_character(char32_t c);   // letters and digits of any script

}  // namespace lectern
