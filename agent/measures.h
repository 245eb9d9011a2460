// What the numbers of a text count: a unit, a magnitude, the month that a day or year belongs to, the letter
// of a code. "118 pounds" is not supported by "118 kg", "12 May" not by "12 March", "room C-12" not by
// "B-12". English and Chinese; of other words nothing is known. Linear; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lectern {

struct Measure {
  std::string number;  // digits, without separators of thousands; "": a month that stands alone
  int counts;          // the same for all names of one unit ("kg", "kilograms", "公斤")

  bool operator==(const Measure&) const = default;
};

// In order. A number that counts nothing known is left out; one may count several things ("12 March 2021").
std::vector<Measure> measures(std::string_view text);

// Whether `claim` lets a number of `source` count something else, which `source` counts nowhere.
bool in_other_measure(const std::vector<Measure>& claim, const std::vector<Measure>& source);

}  // namespace lectern
