// Which of two replies to a question is likelier to be right, as the model itself judges them beside the
// passages ("P(True)" of Kadavath et al. 2022, https://arxiv.org/abs/2207.05221).
#pragma once

#include <string>

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// Whether `pointed`, the reply of a model that was pointed to one sentence (closest_sentence.h), is to be
// taken in place of `plain`, the reply to the passages alone: unless `plain` is clearly likelier. Both
// without markers. True also when the model cannot score. Throws Error(kCancelled).
bool prefers_pointed(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                     const std::string& plain, const std::string& pointed);

}  // namespace lectern
