#include "agent/asked_fact.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "agent/asked_value.h"
#include "agent/text_terms.h"

namespace lectern {
namespace {

using std::string_view;

constexpr auto kAsksForAFact = std::to_array<string_view>(
    {"who",      "whose",       "whom",       "when",       "where",     "how many",  "how much",
     "how long", "how old",     "how far",    "how often",  "what time", "what year", "what date",
     "what day", "what colour", "what color", "which year", "which day", "wer",       "wem",
     "wen",      "wann",        "wo",         "wie viel",   "wie viele", "qui",       "quand",
     "combien",  "quién",       "cuándo",     "dónde"});
constexpr auto kOpensAQuestion = std::to_array<string_view>({" tell me ", " say ", " do you know "});
// Or speaks of the text, its writer, or of something to be done: "Who wrote this?", "How many words does it
// have?"
constexpr auto kSpeaksOfTheText = std::to_array<string_view>(
    {"this text",     "this note",    "this message", "this email",  "this letter", "this document",
     "this file",     "this passage", "wrote this",   "these notes", "the text",    "the document",
     "the documents", "the note",     "the notes",    "the file",    "the message", "the email",
     "the passage",   "the author",   "the writer",   "audience",    "tone",        "style",
     "voice",         "translate",    "rewrite",      "rephrase",    "summarise",   "summarize",
     "could you",     "can you",      "will you",     "would you",   "should i",    "could i",
     "can i",         "should we",    "words",        "lines",       "characters",  "sentences",
     "paragraphs"});

constexpr auto kChineseAsksForAFact = std::to_array<string_view>(
    {"谁",   "什么时候", "何时", "几点", "哪里", "哪儿", "哪年", "哪一年", "哪天", "哪一天",   "几月",
     "几号", "几个",     "几次", "几年", "几天", "多少", "多久", "多长",   "多大", "什么颜色", "姓什么"});
constexpr auto kChineseSpeaksOfTheText = std::to_array<string_view>(
    {"这段",   "这篇", "这封", "这份", "这条", "这句", "该文", "本文",   "文中",   "上文",   "全文", "作者",
     "给谁看", "语气", "翻译", "改写", "概括", "总结", "写得", "多少字", "几个字", "几个词", "段落", "几句"});

// "What is the capital of Mongolia?" of a text that never speaks of Mongolia.
bool asks_what_of_an_unknown_name(string_view question, string_view words, string_view text) {
  const bool what = words.starts_with(" what is the ") || words.starts_with(" what was the ");
  const size_t of = question.rfind(" of ");
  if (!what || of == string_view::npos) return false;
  std::set<std::string> known;
  for (SupportTerm& term : support_terms(text)) known.insert(std::move(term.text));
  const std::vector<SupportTerm> asked = support_terms(question.substr(of));
  return std::any_of(asked.begin(), asked.end(),
                     [&](const SupportTerm& term) { return term.strong && !known.contains(term.text); });
}

bool opens_as_a_question(string_view words) {
  const auto opens = [&](string_view opening) { return words.starts_with(opening); };
  return std::any_of(kOpensAQuestion.begin(), kOpensAQuestion.end(), opens) ||
         std::any_of(kAsksForAFact.begin(), kAsksForAFact.end(),
                     [&](string_view word) { return opens(" " + std::string(word) + " "); });
}

}  // namespace

bool asks_for_a_fact(string_view question, string_view text) {
  const std::string flat = flatten(question);
  const std::string words = words_apart(flat);
  if (holds_word(words, kSpeaksOfTheText) || holds_any(flat, kChineseSpeaksOfTheText)) return false;
  if (holds_any(flat, kChineseAsksForAFact)) return true;
  if (!ends_in_question_mark(question) && !opens_as_a_question(words)) return false;
  return holds_word(words, kAsksForAFact) || AskedValue(question).is_known() ||
         asks_what_of_an_unknown_name(question, words, text);
}

}  // namespace lectern
