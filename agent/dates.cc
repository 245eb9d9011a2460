#include "agent/dates.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/ascii.h"

namespace lectern {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"january",   "february", "march",    "april",
                                                      "may",       "june",     "july",     "august",
                                                      "september", "october",  "november", "december"};

// A word of the text: digits, ASCII letters, or one of the three Chinese units.
struct Word {
  std::string_view text;
  int number = -1;  // of digits, at most four of them
};

std::vector<Word> words_of(std::string_view text) {
  static constexpr std::array<std::string_view, 4> kUnits = {"年", "月", "日", "前"};
  std::vector<Word> words;
  const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  const auto letter = [&](size_t i) {
    return i < text.size() && std::isalpha(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (digit(i)) {
      int number = 0;
      for (; digit(i); ++i) number = i - begin < 5 ? number * 10 + (text[i] - '0') : number;
      words.push_back({text.substr(begin, i - begin), i - begin <= 4 ? number : -1});
    } else if (letter(i)) {
      while (letter(i)) ++i;
      words.push_back({text.substr(begin, i - begin)});
    } else {
      const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                     [&](std::string_view u) { return text.substr(i).starts_with(u); });
      i += unit == kUnits.end() ? 1 : unit->size();
      if (unit != kUnits.end()) words.push_back({*unit});
    }
  }
  return words;
}

bool is_day(const Word& word) {
  return word.number >= 1 && word.number <= 31 && word.text.size() <= 2;
}

bool is_year(const Word& word) {
  return word.number >= 1 && word.text.size() >= 3;
}

}  // namespace

int month_of(std::string_view word) {
  constexpr size_t kMinLetters = 3;
  const std::string folded = ascii_lower(std::string(word));
  const auto found = std::find_if(kMonths.begin(), kMonths.end(), [&](std::string_view month) {
    return folded.size() >= kMinLetters && month.starts_with(folded);
  });
  return found == kMonths.end() ? 0 : static_cast<int>(found - kMonths.begin()) + 1;
}

std::optional<Date> find_date(std::string_view text) {
  const std::vector<Word> words = words_of(text);
  const auto word = [&](size_t i) { return i < words.size() ? words[i] : Word{}; };
  const auto with_era = [&](Date date, size_t next) {
    const std::string_view era = word(next).text;
    if (era == "BC" || era == "BCE" || era == "B") date.year = -date.year;
    return date;
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const int number = words[i].number;
    if (number >= 1 && word(i + 1).text == "年") {
      Date date{number};
      if (word(i + 2).number >= 1 && word(i + 3).text == "月") date.month = words[i + 2].number;
      if (date.month > 0 && word(i + 4).number >= 1 && word(i + 5).text == "日")
        date.day = words[i + 4].number;
      if (i > 0 && words[i - 1].text == "前") date.year = -date.year;
      return date;
    }
    if (is_day(words[i]) && month_of(word(i + 1).text) > 0 && word(i + 2).number >= 1)
      return with_era({words[i + 2].number, month_of(words[i + 1].text), number}, i + 3);
    if (const int month = month_of(words[i].text); month > 0) {
      if (is_day(word(i + 1)) && word(i + 2).number >= 1)
        return with_era({words[i + 2].number, month, words[i + 1].number}, i + 3);
      if (is_year(word(i + 1))) return with_era({words[i + 1].number, month}, i + 2);
    }
    if (is_year(words[i])) {
      Date date{number};
      if (words[i].text.size() == 4 && is_day(word(i + 1)) && is_day(word(i + 2)) &&
          words[i + 1].number <= 12)
        date = {number, words[i + 1].number, words[i + 2].number};
      return with_era(date, i + 1);
    }
  }
  return std::nullopt;
}

bool can_tell_apart(const Date& a, const Date& b) {
  if (a.year != b.year) return true;
  if (a.month == 0 || b.month == 0 || a.month != b.month) return a.month != 0 && b.month != 0;
  return a.day != 0 && b.day != 0 && a.day != b.day;
}

std::vector<int> ranks_of_dates(const std::vector<std::string>& texts) {
  std::vector<std::optional<Date>> dates;
  std::optional<Date> earliest, latest;
  for (const std::string& text : texts) {
    const std::optional<Date> date = dates.emplace_back(find_date(text));
    if (date && (!earliest || *date < *earliest)) earliest = date;
    if (date && (!latest || *latest < *date)) latest = date;
  }
  std::vector<int> ranks(texts.size(), 0);
  const auto stands_out = [&](const Date& date) {
    return std::all_of(dates.begin(), dates.end(), [&](const std::optional<Date>& other) {
      return !other || *other == date || can_tell_apart(*other, date);
    });
  };
  if (!earliest || *earliest == *latest) return ranks;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (dates[i] && stands_out(*dates[i]))
      ranks[i] = *dates[i] == *earliest ? -1 : *dates[i] == *latest ? 1 : 0;
  }
  return ranks;
}

}  // namespace lectern
