// What all surfaces say of a question and its answer in the same way. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "agent/agent.h"

namespace lectern {

// "30s", "2min", "200chunks", "20000tokens", each at most once. Throws Error(kInvalidArgument) naming what is
// not a budget.
AskBudget parse_budget(const std::vector<std::string>& limits);

// Whether there is an answer, and not one that nothing in the documents supports.
bool is_supported(const Answer& answer);

// One sentence that says why the text ends early; "" when it does not.
std::string why_cut(const Answer& answer);

}  // namespace lectern
