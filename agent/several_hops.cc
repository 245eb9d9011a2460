#include "agent/several_hops.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "agent/languages.h"
#include "base/ascii.h"

namespace lectern {
namespace {

// Who somebody or something is to another: what must be found first.
constexpr std::array<std::string_view, 44> kRelations = {
    "director",     "performer", "composer",    "author",     "writer",      "singer",      "producer",
    "founder",      "creator",   "inventor",    "discoverer", "editor",      "designer",    "architect",
    "screenwriter", "publisher", "artist",      "band",       "owner",       "father",      "mother",
    "parent",       "parents",   "husband",     "wife",       "spouse",      "son",         "daughter",
    "child",        "brother",   "sister",      "sibling",    "grandfather", "grandmother", "uncle",
    "aunt",         "successor", "predecessor", "employer",   "teacher",     "student",     "manufacturer",
    "star",         "stepmother"};
constexpr std::array<std::string_view, 4> kDoubleRelations = {"grandfather", "grandmother", "grandson",
                                                              "granddaughter"};
constexpr std::array<std::string_view, 24> kComparing = {
    "older",  "younger", "earlier", "later",    "first",    "last",   "longer", "shorter",
    "bigger", "larger",  "smaller", "taller",   "higher",   "same",   "both",   "more",
    "less",   "fewer",   "oldest",  "youngest", "earliest", "latest", "before", "after"};

constexpr std::array<std::string_view, 18> kChineseRelations = {
    "导演", "演唱者", "作曲", "作者", "编剧", "主演", "创始人", "发明者", "父亲",
    "母亲", "丈夫",   "妻子", "配偶", "儿子", "女儿", "兄弟",   "姐妹",   "老师"};
constexpr std::array<std::string_view, 10> kChineseComparing = {"更早", "更晚", "更大", "更小", "更长",
                                                                "更年", "先",   "同一", "相同", "都"};

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Words of letters, lower case; "'s" is a word of its own, and so is a comma.
std::vector<std::string> words_of(std::string_view question) {
  std::vector<std::string> words;
  bool in_word = false;
  for (size_t i = 0; i < question.size(); ++i) {
    const auto c = static_cast<unsigned char>(question[i]);
    const bool apostrophe = c == '\'' || question.substr(i).starts_with("’");
    if (apostrophe && in_word) {
      words.emplace_back("'");
      if (c != '\'') i += 2;
    } else if (c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-') {
      if (!in_word && (words.empty() || words.back() != "'" || question[i - 1] == ' ')) words.emplace_back();
      words.back() += ascii_lower(question[i]);
      in_word = true;
      continue;
    } else if (c == ',') {
      words.emplace_back(",");
    }
    in_word = false;
  }
  return words;
}

bool is_relation(const std::string& word) {
  return is_one_of(word, kRelations) || word.ends_with("-in-law");
}

bool compares(const std::vector<std::string>& words) {
  const auto has = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const bool comparing =
      std::any_of(words.begin(), words.end(), [](const std::string& w) { return is_one_of(w, kComparing); });
  if (!comparing) return false;
  static constexpr std::array<std::string_view, 9> kChoosing = {"which", "who", "are", "were", "do",
                                                                "does",  "did", "is",  "was"};
  if (words.empty() || !is_one_of(words.front(), kChoosing)) return false;
  const bool yes_or_no = words.front() != "which" && words.front() != "who";
  const bool out_of = has("out") && has("of") && has("and");
  return has("or") || out_of || (yes_or_no && (has("same") || has("both")) && has("and"));
}

// A property is asked of somebody who is only named by a relation: "Where was the director of X born?", "When
// did X's mother die?", but not "Who is the director of X?", which asks for the relation itself.
bool chains(const std::vector<std::string>& words) {
  int relations = 0;
  bool doubled = false, asked_for = false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!is_relation(words[i])) continue;
    const bool of_something = i + 1 < words.size() && words[i + 1] == "of";
    const bool possessed = i > 0 && (words[i - 1] == "'s" || words[i - 1] == "'");
    if (!of_something && !possessed) continue;
    ++relations;
    doubled |= is_one_of(words[i], kDoubleRelations) || words[i].ends_with("-in-law");
    const bool who = words[0] == "who" || words[0] == "whom" || words[0] == "name" ||
                     (words.size() > 3 && words[0] == "what" && words[3] == "name");
    asked_for |= who && relations == 1;
  }
  return doubled || relations > 1 || (relations == 1 && !asked_for);
}

template <size_t N>
size_t count_of(std::string_view text, const std::array<std::string_view, N>& words) {
  size_t n = 0;
  for (const std::string_view word : words) n += text.find(word) != std::string_view::npos ? 1 : 0;
  return n;
}

Hops hops_of_chinese(std::string_view question) {
  const bool two = question.find("和") != std::string_view::npos ||
                   question.find("与") != std::string_view::npos ||
                   question.find("还是") != std::string_view::npos;
  const bool choosing =
      question.find("哪") != std::string_view::npos || question.find("谁") != std::string_view::npos ||
      question.find("吗") != std::string_view::npos || question.find("是否") != std::string_view::npos;
  if (two && choosing && count_of(question, kChineseComparing) > 0) return Hops::kComparison;
  const size_t relations = count_of(question, kChineseRelations);
  // "《静磨坊》的导演是谁" asks for the relation itself.
  const bool asked_for = question.find("是谁") != std::string_view::npos || question.starts_with("谁");
  const bool doubled =
      question.find("祖父") != std::string_view::npos || question.find("祖母") != std::string_view::npos;
  const bool possessed = question.find("的") != std::string_view::npos;
  if (possessed && (doubled || relations > 1 || (relations == 1 && !asked_for))) return Hops::kChain;
  return Hops::kOne;
}

}  // namespace

Hops hops_of(std::string_view question) {
  constexpr size_t kLongest = 400;  // longer requests are no such questions
  if (question.size() > kLongest) return Hops::kOne;
  if (prompt_language(question) == "zh") return hops_of_chinese(question);
  const std::vector<std::string> words = words_of(question);
  if (words.empty()) return Hops::kOne;
  if (compares(words)) return Hops::kComparison;
  return chains(words) ? Hops::kChain : Hops::kOne;
}

}  // namespace lectern
