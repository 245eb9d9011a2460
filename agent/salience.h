// Which texts of many say best what all of them are about, without a model: SumBasic (Nenkova and Vanderwende
// 2005, "The Impact of Frequency on Summarization"). A text is worth the mean probability of its terms; once
// it is chosen its terms count less, so that the next one says something else. Pure.
#pragma once

#include <string_view>
#include <vector>

namespace lectern {

// Indices of `texts`, best first; of equals the earlier one. `bonus` is added to each text's worth, in units
// of the best worth, or is empty. Linear in the texts but for the first `kSalientPicks`, which are chosen one
// by one; the rest follow by what they are still worth then.
std::vector<size_t> by_salience(const std::vector<std::string_view>& texts, const std::vector<double>& bonus);

inline constexpr size_t kSalientPicks = 64;

}  // namespace lectern
