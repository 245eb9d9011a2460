#include "agent/asked_value.h"

#include <algorithm>
#include <array>

#include "agent/text_terms.h"
#include "base/ascii.h"
#include "base/utf8.h"

namespace lectern {
namespace {

using Form = AskedValue::Form;
using enum Quantity;

// An amount of one of these is no answer to a question for another.
constexpr Quantity kMeasured = kMoney | kMass | kLength | kVolume | kTemperature | kShare;

struct Asked {
  Quantity quantity = kNone;
  Form form = Form::kNone;

  constexpr Asked(Quantity q) : quantity(q) {}
  constexpr Asked(Form f) : form(f) {}
};

struct Wording {
  std::string_view words;  // of the question, folded; " … " stands for anything between
  std::string_view name;   // in a claim that speaks of it
  Asked asked;
};

constexpr auto kWordings = std::to_array<Wording>({
    {"phone number", "phone", Form::kPhone},
    {"mobile number", "mobile", Form::kPhone},
    {"fax number", "fax", Form::kPhone},
    {"email address", "mail", Form::kMail},
    {"e-mail address", "mail", Form::kMail},
    {"web address", "web", Form::kWeb},
    {"url of", "url", Form::kWeb},
    {"how much … cost", "cost", kMoney},
    {"how much … charge", "charge", kMoney},
    {"how much … pay", "", kMoney},
    {"how much … paid", "", kMoney},
    {"how much is the … rent", "rent", kMoney},
    {"how much is the … fee", "fee", kMoney},
    {"how much is the … deposit", "deposit", kMoney},
    {"what does … cost", "cost", kMoney},
    {"what do … cost", "cost", kMoney},
    {"what did … cost", "cost", kMoney},
    {"what is the … price", "price", kMoney},
    {"what was the … price", "price", kMoney},
    {"what is the … rent", "rent", kMoney},
    {"what was the … rent", "rent", kMoney},
    {"what is the … fee", "fee", kMoney},
    {"what is the … deposit", "deposit", kMoney},
    {"what is the … salary", "salary", kMoney},
    {"how heavy", "weigh", kMass},
    {"how much … weigh", "weigh", kMass},
    {"what is the … weight", "weigh", kMass},
    {"how tall", "tall", kLength},
    {"how high is the", "high", kLength},
    {"how wide", "wide", kLength},
    {"how deep", "deep", kLength},
    {"how far", "", kLength | kTime},
    {"how long", "long", kLength | kTime},
    {"what is the … height", "height", kLength},
    {"what is the … length", "length", kLength | kTime},
    {"what temperature", "temperature", kTemperature},
    {"which temperature", "temperature", kTemperature},
    {"what is the … temperature", "temperature", kTemperature},
    {"how hot", "hot", kTemperature},
    {"how cold", "cold", kTemperature},
    {"what time", "", kTime},
    {"when do", "", kTime},
    {"when did", "", kTime},
    {"when is", "", kTime},
    {"when was", "", kTime},
    {"opening hours", "open", kTime},
    {"电话号码", "电话", Form::kPhone},
    {"联系电话", "电话", Form::kPhone},
    {"电话是多少", "电话", Form::kPhone},
    {"手机号", "手机", Form::kPhone},
    {"邮箱", "邮箱", Form::kMail},
    {"网址", "网址", Form::kWeb},
    {"多少钱", "", kMoney},
    {"价格是多少", "价格", kMoney},
    {"租金是多少", "租金", kMoney},
    {"押金是多少", "押金", kMoney},
    {"多重", "重", kMass},
    {"重量是多少", "重", kMass},
    {"多高", "高", kLength},
    {"多宽", "宽", kLength},
    {"多深", "深", kLength},
    {"几点", "", kTime},
    {"什么时候", "", kTime},
    {"何时", "", kTime},
    {"哪一年", "", kTime},
    {"哪年", "", kTime},
});

constexpr auto kNumberWords = std::to_array<std::string_view>(
    {"one",   "two",   "three",  "four",   "five",    "six",    "seven",  "eight",
     "nine",  "ten",   "eleven", "twelve", "fifteen", "twenty", "thirty", "forty",
     "fifty", "sixty", "eighty", "ninety", "half",    "dozen",  "hundred"});
// Say when without a number.
constexpr auto kTimeWords = std::to_array<std::string_view>(
    {"noon",   "midnight", "morning",   "evening",  "o'clock", "centur",    "january", "february", "march",
     "april",  "may ",     "june",      "july",     "august",  "september", "october", "november", "december",
     "monday", "tuesday",  "wednesday", "thursday", "friday",  "saturday",  "sunday",  "spring",   "summer",
     "autumn", "winter",   "世纪",      "年代",     "中午",    "早上",      "晚上"});
constexpr std::array<std::string_view, 6> kSigns = {"£", "$", "€", "¥", "￥", "₤"};
constexpr std::u32string_view kHanNumerals = U"〇零一二三四五六七八九十百千万亿两半";

std::string folded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    utf8::append(out, fold_case(d.code_point));
    i += d.length;
  }
  return out;
}

bool is_letter(char c) {
  return c >= 'a' && c <= 'z';
}

// "how much … cost": both parts, in this order, each at the beginning of a word.
bool worded(std::string_view question, std::string_view words) {
  constexpr std::string_view kGap = " … ";
  const size_t gap = words.find(kGap);
  const std::array parts = {words.substr(0, gap), gap == std::string_view::npos
                                                      ? std::string_view()
                                                      : words.substr(gap + kGap.size())};
  size_t from = 0;
  for (const std::string_view part : parts) {
    size_t at = question.find(part, from);
    while (at != std::string_view::npos && at > 0 && is_letter(question[at - 1]) &&
           is_letter(part.empty() ? ' ' : part.front()))
      at = question.find(part, at + 1);
    if (at == std::string_view::npos) return false;
    from = at + part.size();
  }
  return true;
}

int n_interrogatives(std::string_view question) {
  constexpr auto kInterrogatives =
      std::to_array<std::string_view>({"what", "when", "where", "which", "who", "whose", "why", "how", "什么",
                                       "多", "谁", "哪", "几", "何", "怎"});
  int n = 0;
  for (size_t i = 0; i < question.size(); ++i) {
    if (i > 0 && is_letter(question[i]) && is_letter(question[i - 1])) continue;  // inside a word
    const auto found =
        std::find_if(kInterrogatives.begin(), kInterrogatives.end(), [&](std::string_view word) {
          const size_t end = i + word.size();
          return question.substr(i).starts_with(word) &&
                 (!is_letter(word.front()) || end == question.size() || !is_letter(question[end]));
        });
    n += found != kInterrogatives.end();
  }
  return n;
}

struct Amount {
  std::string digits;
  Quantity quantity = kNone;  // of nothing that is known
};

// What the number that ends at byte `at` counts, by the sign before it or the unit behind it.
Quantity quantity_at(std::string_view text, size_t begin, size_t at) {
  for (const std::string_view sign : kSigns)
    if (text.substr(0, begin).ends_with(sign)) return kMoney;
  while (true) {
    while (at < text.size() && (text[at] == ' ' || text[at] == '-')) ++at;
    const UnitName name = unit_at(text.substr(at));
    if (name.quantity != kMagnitude) return name.quantity;
    at += name.text.size();
  }
}

std::vector<Amount> amounts_of(std::string_view text) {
  const auto is_numeral = [](char32_t c) { return kHanNumerals.find(c) != std::u32string_view::npos; };
  std::vector<Amount> out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    if (is_ascii_digit(text[i])) {
      while (end < text.size() &&
             (is_ascii_digit(text[end]) || ((text[end] == '.' || text[end] == ',') && end + 1 < text.size() &&
                                            is_ascii_digit(text[end + 1]))))
        ++end;
    } else {
      while (end < text.size() && is_numeral(utf8::decode(text, end).code_point))
        end += utf8::decode(text, end).length;
    }
    if (end == i) {
      while (end < text.size() && (is_letter(text[end]) || (end > i && is_ascii_digit(text[end])))) ++end;
      const std::string_view word = text.substr(i, end - i);
      if (std::find(kNumberWords.begin(), kNumberWords.end(), word) == kNumberWords.end()) {
        i = end > i ? end : i + utf8::decode(text, i).length;
        continue;
      }
    }
    out.push_back({std::string(text.substr(i, end - i)), quantity_at(text, i, end)});
    i = end;
  }
  return out;
}

// Five digits and more, whatever stands between them, or three of no unit: an emergency number.
bool holds_phone_number(std::string_view text) {
  int digits = 0;
  for (size_t i = 0; i < text.size() && digits < 5; ++i) {
    const bool ends = text[i] == '.' && (i + 1 == text.size() || !is_ascii_digit(text[i + 1]));
    if (is_ascii_digit(text[i])) {
      ++digits;
    } else if (ends || std::string_view(" -().+/").find(text[i]) == std::string_view::npos) {
      digits = 0;
    }
  }
  if (digits >= 5) return true;
  const std::vector<Amount> amounts = amounts_of(text);
  return std::any_of(amounts.begin(), amounts.end(), [](const Amount& amount) {
    return amount.quantity == kNone && amount.digits.size() == 3 &&
           std::all_of(amount.digits.begin(), amount.digits.end(), is_ascii_digit);
  });
}

bool holds_web_address(std::string_view text) {
  if (text.find("www.") != std::string_view::npos || text.find("://") != std::string_view::npos) return true;
  for (size_t i = 1; i + 2 < text.size(); ++i)
    if (text[i] == '.' && is_letter(text[i - 1]) && is_letter(text[i + 1]) && is_letter(text[i + 2]))
      return true;
  return false;
}

bool holds_form(std::string_view text, Form form) {
  switch (form) {
    case Form::kPhone:
      return holds_phone_number(text);
    case Form::kMail:
      return text.find('@') != std::string_view::npos;
    case Form::kWeb:
      return holds_web_address(text);
    case Form::kNone:
      break;
  }
  return false;
}

}  // namespace

AskedValue::AskedValue(std::string_view question) {
  const std::string text = folded(question);
  // Of a question that asks for several things it is not known which a claim answers.
  if (n_interrogatives(text) > 1) return;
  for (const Wording& wording : kWordings) {
    if (!worded(text, wording.words)) continue;
    quantity_ = wording.asked.quantity;
    form_ = wording.asked.form;
    name_ = wording.name;
    for (Amount& amount : amounts_of(text)) amounts_of_question_.push_back(std::move(amount.digits));
    return;
  }
}

bool AskedValue::may_be_in(std::string_view claim, bool is_first) const {
  if (!is_known()) return true;
  const std::string text = folded(claim);
  const bool named = !name_.empty() && text.find(name_) != std::string::npos;
  if (!named && !is_first) return true;
  if (holds_form(text, form_)) return true;
  if (named && form_ != Form::kNone) return false;
  if (overlap(quantity_, kTime) && holds_any(text, kTimeWords)) return true;
  bool other = false;
  for (const Amount& amount : amounts_of(text)) {
    const bool asked = std::find(amounts_of_question_.begin(), amounts_of_question_.end(), amount.digits) !=
                       amounts_of_question_.end();
    if (asked) continue;
    if (overlap(amount.quantity, quantity_) || amount.quantity == kNone) return true;
    other |= overlap(amount.quantity, kMeasured);
  }
  return !other;
}

}  // namespace lectern
