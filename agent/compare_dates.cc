#include "agent/compare_dates.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "agent/languages.h"
#include "agent/text_terms.h"
#include "base/ascii.h"

namespace lectern {
namespace {

enum class Wanted { kNone, kEarlier, kLater };

constexpr std::array<std::string_view, 7> kEarlier = {"older",    "oldest", "elder", "earlier",
                                                      "earliest", "first",  "sooner"};
constexpr std::array<std::string_view, 9> kLater = {"younger", "youngest", "later",  "latest",  "last",
                                                    "newer",   "newest",   "recent", "recently"};
constexpr std::array<std::string_view, 7> kEarlierChinese = {"更早", "较早",   "最早",  "年长",
                                                             "更老", "年纪大", "年龄大"};
constexpr std::array<std::string_view, 7> kLaterChinese = {"更晚", "较晚",   "最晚",  "年轻",
                                                           "更新", "年纪小", "年龄小"};

bool has_word(std::string_view text, std::string_view word) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_letter(text[at - 1])) && (end == text.size() || !is_letter(text[end]))) return true;
  }
  return false;
}

Wanted wanted_by(std::string_view question) {
  const std::string text = ascii_lower(std::string(question));
  const auto word = [&](std::string_view w) { return has_word(text, w); };
  const auto part = [&](std::string_view w) { return text.find(w) != std::string::npos; };
  const bool earlier = std::any_of(kEarlier.begin(), kEarlier.end(), word) ||
                       std::any_of(kEarlierChinese.begin(), kEarlierChinese.end(), part);
  const bool later = std::any_of(kLater.begin(), kLater.end(), word) ||
                     std::any_of(kLaterChinese.begin(), kLaterChinese.end(), part);
  if (earlier == later) return Wanted::kNone;
  return earlier ? Wanted::kEarlier : Wanted::kLater;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kAround = " \t\n\"'?.,:;";
  const size_t begin = text.find_first_not_of(kAround);
  if (begin == std::string_view::npos) return {};
  text = text.substr(begin, text.find_last_not_of(kAround) - begin + 1);
  for (const std::string_view mark : {"？", "，", "：", "。"}) {
    if (text.starts_with(mark)) text.remove_prefix(mark.size());
    if (text.ends_with(mark)) text.remove_suffix(mark.size());
  }
  return text;
}

using Pair = std::pair<std::string_view, std::string_view>;

// "Which film is older, A or B?", "A和B谁更年轻？"
std::optional<Pair> alternatives(std::string_view question) {
  std::optional<Pair> found;
  if (prompt_language(question) == "zh") {
    size_t end = std::string_view::npos;
    for (const std::string_view which : {"谁", "哪", "中"}) end = std::min(end, question.find(which));
    for (const std::string_view joint : {"和", "与", "跟", "还是"}) {
      const size_t at = question.find(joint);
      if (found || at == std::string_view::npos || end == std::string_view::npos) continue;
      if (at < end)
        found = Pair(question.substr(0, at), question.substr(at + joint.size(), end - at - joint.size()));
    }
  } else if (const size_t at = question.rfind(" or "); at != std::string_view::npos) {
    const size_t comma = question.rfind(',', at);
    if (comma != std::string_view::npos)
      found = Pair(question.substr(comma + 1, at - comma - 1), question.substr(at + 4));
  }
  if (!found) return std::nullopt;
  *found = Pair(trimmed(found->first), trimmed(found->second));
  if (found->first.empty() || found->second.empty()) return std::nullopt;
  return found;
}

std::set<std::string> terms_of(std::string_view text) {
  std::set<std::string> out;
  for (SupportTerm& term : support_terms(text)) out.insert(std::move(term.text));
  return out;
}

// How many terms of `name` the first fact speaks of and the second does not.
int belongs(std::string_view name, const DatedFact& to, const DatedFact& not_to) {
  const std::set<std::string> own = terms_of(to.about), others = terms_of(not_to.about);
  int n = 0;
  for (const std::string& term : terms_of(name)) n += int(own.contains(term)) - int(others.contains(term));
  return n;
}

}  // namespace

std::string compare_dates(std::string_view question, const DatedFact& one, const DatedFact& other) {
  if (!can_tell_apart(one.date, other.date)) return "";
  const std::string text = ascii_lower(std::string(question));
  if (const size_t at = text.find(" before or after "); at != std::string::npos) {
    const std::string_view subject = question.substr(0, at), object = question.substr(at);
    const int as_given = belongs(subject, one, other) + belongs(object, other, one);
    if (as_given == 0) return "";
    const bool subject_first = as_given > 0 ? one.date < other.date : other.date < one.date;
    constexpr std::string_view kEither = " before or after ";
    const size_t verb = std::min(subject.find(' ') + 1, subject.size());  // "Was the bicycle": without "Was"
    return std::string(subject.substr(verb)) + (subject_first ? " before " : " after ") +
           std::string(trimmed(object.substr(kEither.size())));
  }
  const Wanted wanted = wanted_by(question);
  const std::optional<Pair> names = alternatives(question);
  if (wanted == Wanted::kNone || !names) return "";
  const int as_given = belongs(names->first, one, other) + belongs(names->second, other, one);
  if (as_given == 0) return "";
  const bool one_wins = (one.date < other.date) == (wanted == Wanted::kEarlier);
  return std::string(one_wins == (as_given > 0) ? names->first : names->second);
}

}  // namespace lectern
