#include "agent/measures.h"

#include <algorithm>

#include "agent/dates.h"
#include "agent/units.h"
#include "base/ascii.h"

namespace lectern {
namespace {

using std::string_view;

// What a number counts: a month, 1 to 12, or
constexpr int kUnits = 100;   // and the unit
constexpr int kCodes = 1000;  // and the letter of a code

string_view word_at(string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && is_ascii_letter(text[end])) ++end;
  return text.substr(begin, end - begin);
}

string_view word_up_to(string_view text, size_t end) {
  size_t begin = end;
  while (begin > 0 && is_ascii_letter(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

// "may" is a month only with a capital.
int named_month(string_view word) {
  return word.empty() || !is_ascii_upper(word.front()) ? 0 : month_of(word);
}

size_t skip_blanks(string_view text, size_t i, string_view blanks) {
  while (i < text.size() && blanks.find(text[i]) != string_view::npos) ++i;
  return i;
}

// "5月" that begins at `i`, or 0.
int chinese_month_at(string_view text, size_t i) {
  int month = 0;
  const size_t begin = i;
  while (i < text.size() && is_ascii_digit(text[i]) && i < begin + 2) month = month * 10 + (text[i++] - '0');
  return month <= 12 && text.substr(i).starts_with("月") ? month : 0;
}

class Scan {
 public:
  explicit Scan(string_view text) : text_(text) {}

  std::vector<Measure> run() {
    for (size_t i = 0; i < text_.size();) {
      if (!is_ascii_digit(text_[i])) {
        const string_view word = word_at(text_, i);
        if (const int month = named_month(word)) out_.push_back({"", month});
        i += std::max<size_t>(1, word.size());
        continue;
      }
      const size_t begin = i;
      std::string number;
      for (; i < text_.size(); ++i) {
        const bool inside = i + 1 < text_.size() && is_ascii_digit(text_[i + 1]);
        if (is_ascii_digit(text_[i]))
          number += text_[i];
        else if (text_[i] == '.' && inside)
          number += '.';
        else if (text_[i] != ',' || !inside)
          break;
      }
      after(number, i);
      before(number, begin);
    }
    return std::move(out_);
  }

 private:
  void add(const std::string& number, int counts) {
    if (counts != 0) out_.push_back({number, counts});
  }

  void after(const std::string& number, size_t end) {
    const string_view rest = text_.substr(end);
    if (const int month = rest.starts_with("月") ? chinese_month_at(text_, end - number.size()) : 0)
      return out_.push_back({"", month});
    // "2021年5月"
    if (rest.starts_with("年")) return add(number, chinese_month_at(text_, end + string_view("年").size()));
    const size_t next = skip_blanks(text_, end, " -");
    string_view word = word_at(text_, next);
    // "12th of March"
    if (next == end && (word == "st" || word == "nd" || word == "rd" || word == "th"))
      word = word_at(text_, skip_blanks(text_, end + 2, " "));
    if (word == "of")
      word = word_at(text_, skip_blanks(text_, static_cast<size_t>(word.end() - text_.begin()), " "));
    if (const int month = named_month(word)) return add(number, month);
    if (word.size() == 1 && is_ascii_upper(word.front())) return;  // "30 M", "5G"
    const Unit unit = unit_at(text_.substr(static_cast<size_t>(word.begin() - text_.begin()))).unit;
    if (unit != Unit::kUnknown) add(number, kUnits + static_cast<int>(unit));
  }

  void before(const std::string& number, size_t begin) {
    if (begin == 0) return;
    size_t end = begin;
    const bool apart = text_[end - 1] == ' ';
    while (end > 0 && (text_[end - 1] == ' ' || text_[end - 1] == ',')) --end;
    if (apart) return add(number, named_month(word_up_to(text_, end)));
    // "B-12", "B12"
    if (text_[end - 1] == '-') --end;
    const string_view code = word_up_to(text_, end);
    if (code.size() == 1 && is_ascii_upper(code.front())) return add(number, kCodes + code.front());
    // "5月12日"
    constexpr string_view kMonthSign = "月";
    if (!text_.substr(0, begin).ends_with(kMonthSign)) return;
    size_t month = begin - kMonthSign.size();
    while (month > 0 && is_ascii_digit(text_[month - 1])) --month;
    add(number, chinese_month_at(text_, month));
  }

  string_view text_;
  std::vector<Measure> out_;
};

}  // namespace

std::vector<Measure> measures(string_view text) {
  return Scan(text).run();
}

bool in_other_measure(const std::vector<Measure>& claim, const std::vector<Measure>& source) {
  return std::any_of(claim.begin(), claim.end(), [&](const Measure& measure) {
    if (measure.number.empty()) return false;
    const auto counts_it = [&](const Measure& other) { return other.counts == measure.counts; };
    const auto has_number = [&](const Measure& other) { return other.number == measure.number; };
    return std::any_of(source.begin(), source.end(), has_number) &&
           std::none_of(source.begin(), source.end(), counts_it);
  });
}

}  // namespace lectern
