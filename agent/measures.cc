#include "agent/measures.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace lectern {
namespace {

using std::string_view;

struct Name {
  string_view text;  // of letters: a whole word, lower case
  int counts;
};

// What counts the same has the same number. Months are 1 to 12, the letters of codes begin at kCodes.
constexpr auto kMonths = std::to_array<Name>({
    {"january", 1},  {"jan", 1},    {"february", 2},  {"feb", 2},       {"march", 3},     {"mar", 3},
    {"april", 4},    {"apr", 4},    {"may", 5},       {"june", 6},      {"jun", 6},       {"july", 7},
    {"jul", 7},      {"august", 8}, {"aug", 8},       {"september", 9}, {"sept", 9},      {"sep", 9},
    {"october", 10}, {"oct", 10},   {"november", 11}, {"nov", 11},      {"december", 12}, {"dec", 12},
});
constexpr auto kUnits = std::to_array<Name>({
    {"kg", 20},          {"kilogram", 20},   {"kilograms", 20},   {"kilo", 20},   {"kilos", 20},
    {"g", 21},           {"gram", 21},       {"grams", 21},       {"pound", 22},  {"pounds", 22},
    {"lb", 22},          {"lbs", 22},        {"ton", 23},         {"tons", 23},   {"tonne", 23},
    {"tonnes", 23},      {"ounce", 25},      {"ounces", 25},      {"m", 30},      {"metre", 30},
    {"metres", 30},      {"meter", 30},      {"meters", 30},      {"km", 31},     {"kilometre", 31},
    {"kilometres", 31},  {"kilometer", 31},  {"kilometers", 31},  {"cm", 32},     {"centimetre", 32},
    {"centimetres", 32}, {"centimeter", 32}, {"centimeters", 32}, {"mm", 33},     {"mile", 34},
    {"miles", 34},       {"foot", 35},       {"feet", 35},        {"ft", 35},     {"inch", 36},
    {"inches", 36},      {"yard", 37},       {"yards", 37},       {"l", 40},      {"litre", 40},
    {"litres", 40},      {"liter", 40},      {"liters", 40},      {"ml", 41},     {"gallon", 42},
    {"gallons", 42},     {"second", 50},     {"seconds", 50},     {"minute", 51}, {"minutes", 51},
    {"min", 51},         {"mins", 51},       {"hour", 52},        {"hours", 52},  {"day", 53},
    {"days", 53},        {"week", 54},       {"weeks", 54},       {"month", 55},  {"months", 55},
    {"year", 56},        {"years", 56},      {"am", 57},          {"pm", 58},     {"percent", 60},
    {"thousand", 71},    {"million", 72},    {"billion", 73},     {"euro", 80},   {"euros", 80},
    {"eur", 80},         {"dollar", 81},     {"dollars", 81},     {"usd", 81},    {"yuan", 82},
});
// Longer ones first: "公斤" before "斤".
constexpr auto kSigns = std::to_array<Name>({
    {"%", 60},    {"％", 60},   {"公斤", 20}, {"千克", 20}, {"公里", 31}, {"千米", 31}, {"厘米", 32},
    {"毫米", 33}, {"英里", 34}, {"英尺", 35}, {"英寸", 36}, {"毫升", 41}, {"加仑", 42}, {"分钟", 51},
    {"小时", 52}, {"星期", 54}, {"个月", 55}, {"百万", 72}, {"十亿", 73}, {"欧元", 80}, {"美元", 81},
    {"斤", 24},   {"吨", 23},   {"磅", 22},   {"克", 21},   {"米", 30},   {"升", 40},   {"秒", 50},
    {"天", 53},   {"周", 54},   {"千", 71},   {"万", 74},   {"亿", 75},   {"元", 82},
});
constexpr int kCodes = 100;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

template <size_t N>
int find(const std::array<Name, N>& names, string_view word) {
  const std::string lower = ascii_lower(std::string(word));
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const Name& name) { return name.text == lower; });
  return found == names.end() ? 0 : found->counts;
}

string_view word_at(string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && is_letter(text[end])) ++end;
  return text.substr(begin, end - begin);
}

string_view word_up_to(string_view text, size_t end) {
  size_t begin = end;
  while (begin > 0 && is_letter(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

// "may" is a month only with a capital.
int month_of(string_view word) {
  return word.empty() || !is_upper(word.front()) ? 0 : find(kMonths, word);
}

size_t skip_blanks(string_view text, size_t i, string_view blanks) {
  while (i < text.size() && blanks.find(text[i]) != string_view::npos) ++i;
  return i;
}

// "5月" that begins at `i`, or 0.
int chinese_month_at(string_view text, size_t i) {
  int month = 0;
  const size_t begin = i;
  while (i < text.size() && is_digit(text[i]) && i < begin + 2) month = month * 10 + (text[i++] - '0');
  return month <= 12 && text.substr(i).starts_with("月") ? month : 0;
}

class Scan {
 public:
  explicit Scan(string_view text) : text_(text) {}

  std::vector<Measure> run() {
    for (size_t i = 0; i < text_.size();) {
      if (!is_digit(text_[i])) {
        const string_view word = word_at(text_, i);
        if (const int month = month_of(word)) out_.push_back({"", month});
        i += std::max<size_t>(1, word.size());
        continue;
      }
      const size_t begin = i;
      std::string number;
      for (; i < text_.size(); ++i) {
        const bool inside = i + 1 < text_.size() && is_digit(text_[i + 1]);
        if (is_digit(text_[i]))
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
    // "2021年5月", "5月12日": the year's and the day's month.
    if (const int month = rest.starts_with("月") ? chinese_month_at(text_, end - number.size()) : 0)
      return out_.push_back({"", month});
    if (rest.starts_with("年")) return add(number, chinese_month_at(text_, end + string_view("年").size()));
    const size_t next = skip_blanks(text_, end, " -");
    for (const Name& sign : kSigns)
      if (text_.substr(next).starts_with(sign.text)) return add(number, sign.counts);
    string_view word = word_at(text_, next);
    // "12th of March"
    if (next == end && (word == "st" || word == "nd" || word == "rd" || word == "th"))
      word = word_at(text_, skip_blanks(text_, end + 2, " "));
    if (word == "of")
      word = word_at(text_, skip_blanks(text_, static_cast<size_t>(word.end() - text_.begin()), " "));
    if (const int month = month_of(word)) return add(number, month);
    const std::string lower = ascii_lower(std::string(word));
    const string_view tail = text_.substr(std::min(text_.size(), next + word.size()));
    if (lower == "per" && tail.starts_with(" cent")) return add(number, find(kUnits, "percent"));
    if ((lower == "a" || lower == "p") && tail.starts_with(".m"))
      return add(number, find(kUnits, lower + "m"));
    const bool capital_letter = word.size() == 1 && is_upper(word.front());  // "30 M", "5G"
    if (!capital_letter) add(number, find(kUnits, word));
  }

  void before(const std::string& number, size_t begin) {
    if (begin == 0) return;
    size_t end = begin;
    const bool apart = text_[end - 1] == ' ';
    while (end > 0 && (text_[end - 1] == ' ' || text_[end - 1] == ',')) --end;
    if (apart) return add(number, month_of(word_up_to(text_, end)));
    // "B-12", "B12"
    if (text_[end - 1] == '-') --end;
    const string_view code = word_up_to(text_, end);
    if (code.size() == 1 && is_upper(code.front())) return add(number, kCodes + code.front());
    constexpr string_view kMonth = "月";
    if (!text_.substr(0, begin).ends_with(kMonth)) return;
    size_t month = begin - kMonth.size();
    while (month > 0 && is_digit(text_[month - 1])) --month;
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
