#include "agent/asked_fact.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "agent/text_terms.h"

namespace lectern {
namespace {

using std::string_view;

constexpr auto kAsksForAFact = std::to_array<string_view>(
    {"who", "whose", "whom", "when", "where", "how many", "how much", "how long", "how old", "how far",
     "how often", "what time", "what year", "what date", "what day", "which year", "which day"});
// Or speaks of the text, its writer, or to the model: "Who wrote this?", "How many words does the note have?"
constexpr auto kSpeaksOfTheText = std::to_array<string_view>(
    {"this",       "these",      "here",     "above",       "the text",  "the document", "the documents",
     "the note",   "the notes",  "the file", "the message", "the email", "the letter",   "the passage",
     "the author", "the writer", "could",    "should",      "would",     "can you",      "will you",
     "please",     "i",          "words",    "sentences",   "paragraphs"});

constexpr auto kChineseAsksForAFact = std::to_array<string_view>(
    {"谁",   "什么时候", "何时", "几点", "哪里", "哪儿", "哪年", "哪一年", "哪天", "哪一天",
     "几月", "几号",     "几个", "几次", "几年", "几天", "多少", "多久",   "多长", "多大"});
constexpr auto kChineseSpeaksOfTheText =
    std::to_array<string_view>({"这", "该文", "本文", "文中", "上文", "全文", "作者", "应该", "可以", "请",
                                "帮", "我", "字", "段落", "句"});

// "What is the capital of Mongolia?" of a text that never speaks of Mongolia.
bool asks_what_of_an_unknown_name(string_view question, string_view words, string_view text) {
  if (!words.starts_with(" what ") && !words.starts_with(" which ")) return false;
  std::set<std::string> known;
  for (SupportTerm& term : support_terms(text)) known.insert(std::move(term.text));
  const std::vector<SupportTerm> asked = support_terms(question);
  return std::any_of(asked.begin(), asked.end(),
                     [&](const SupportTerm& term) { return term.strong && !known.contains(term.text); });
}

}  // namespace

bool asks_for_a_fact(string_view question, string_view text) {
  const std::string flat = flatten(question);
  const std::string words = words_apart(flat);
  if (holds_word(words, kSpeaksOfTheText) || holds_any(flat, kChineseSpeaksOfTheText)) return false;
  if (holds_any(flat, kChineseAsksForAFact)) return true;
  if (!ends_in_question_mark(question)) return false;
  return holds_word(words, kAsksForAFact) || asks_what_of_an_unknown_name(question, words, text);
}

}  // namespace lectern
