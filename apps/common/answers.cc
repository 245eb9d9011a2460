#include "apps/common/answers.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace lectern {

AskBudget parse_budget(const std::vector<std::string>& limits) {
  AskBudget budget;
  for (const std::string& limit : limits) {
    double number = 0;
    const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), number);
    const std::string_view unit(end, static_cast<size_t>(limit.data() + limit.size() - end));
    const bool whole = number == std::floor(number) && number <= std::numeric_limits<int>::max();
    const bool positive = error == std::errc() && number > 0 && number <= 1e9;
    if (positive && unit == "s") {
      budget.seconds = number;
    } else if (positive && unit == "min") {
      budget.seconds = number * 60;
    } else if (positive && whole && unit == "chunks") {
      budget.chunks = static_cast<int>(number);
    } else if (positive && whole && unit == "tokens") {
      budget.tokens = static_cast<int>(number);
    } else {
      const bool none = error == std::errc() && number <= 0;
      throw Error(ErrorCode::kInvalidArgument,
                  "'" + limit + "' is not a budget: " +
                      (none ? "it must be more than zero, and no limit is none at all; " : "") +
                      "write 30s, 2min, 200chunks or 20000tokens");
    }
  }
  return budget;
}

bool is_supported(const Answer& answer) {
  return answer.found && (!answer.citations.empty() || answer.unsupported.empty());
}

std::string why_cut(const Answer& answer) {
  switch (answer.cut) {
    case AnswerCut::kNone:
      break;
    case AnswerCut::kLimit:
      return "the answer reached its limit of tokens and was cut";
    case AnswerCut::kLoop:
      return "the answer began to repeat itself and was ended: it may be incomplete";
  }
  return "";
}

}  // namespace lectern
