// Which currencies a text names: an amount in one is not supported by the same number in another.
#pragma once

#include <string_view>

namespace lectern {

// A bit for each, 0: none. "¥" is both the yen's and the yuan's. Words that also mean something else do not
// count: "pounds", and "元" that follows no number. Linear; thread-safe.
unsigned currencies(std::string_view text);

}  // namespace lectern
