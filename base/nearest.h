// Which known word somebody meant who misspelt it. Thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lectern {

// The candidate that the fewest single-character edits (a swap of neighbours counts as one) turn into `word`,
// if at most a third of its bytes have to change; the first of several equal ones, "" when none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace lectern
