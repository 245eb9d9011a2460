// Which currencies a text names: an amount in one is not supported by the same number in another.
#pragma once

#include <span>
#include <string_view>

#include "agent/text_terms.h"

namespace lectern {

// A bit for each, 0: none. `terms`: support_terms(text). "¥" is both the yen's and the yuan's. Words that
// also mean something else do not count: "pounds", and "元" that follows no number. Linear; thread-safe.
unsigned currencies(std::string_view text, std::span<const SupportTerm> terms);

}  // namespace lectern
