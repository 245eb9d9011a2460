// Decides "which came first" from dates that were found, where the wording of the question allows it: small
// models turn "earlier" round even with both dates before them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/dates.h"

namespace lectern {

struct DatedFact {
  std::string about;  // what was asked for, with the name of the thing: "When was Ada Quill born?"
  Date date;
};

// The answer to a question that compares the two facts, in its own words: one of the two things that it names
// ("Who is older, A or B?", "A和B谁更年轻？"), or, to "Was A before or after B?", "A before B" or "A after
// B". "" when the wording is another, the dates cannot be told apart, or it cannot be told which fact belongs
// to which thing. English and Chinese.
std::string compare_dates(std::string_view question, const DatedFact& one, const DatedFact& other);

}  // namespace lectern
