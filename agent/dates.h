// Which of several dates comes first: small models get that wrong, and nothing has to be guessed.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

struct Date {
  int year = 0;            // negative: before Christ
  int month = 0, day = 0;  // 0: not given

  auto operator<=>(const Date&) const = default;
};

// 1 to 12 of an English month, in any case, shortened to three letters at least ("Sept"); 0 of other words.
int month_of(std::string_view word);

// The first date of a text: "20 March 851", "March 20, 851", "1874-05-04", "1874年5月4日", "399 BC", "1930".
std::optional<Date> find_date(std::string_view text);

// Whether it can be said which comes first: not of one year of which one date names no month, nor of one
// month of which one names no day.
bool can_tell_apart(const Date& a, const Date& b);

// By text: -1 for the earliest date, 1 for the latest, 0 for one between them, for a text without a date, and
// for all when there are not two dates that can be told apart.
std::vector<int> ranks_of_dates(const std::vector<std::string>& texts);

}  // namespace lectern
