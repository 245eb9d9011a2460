// The sentence of the passages that comes closest to the question. A small model often answers from another
// sentence that stands near it; pointed to this one, it seldom does (docs/evaluation.md, "Two
// replies at level auto").
#pragma once

#include <string>

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// Of the passages that the model is shown: the sentence that makes the question likeliest (chunk_judge.h) and
// holds most of its words, verbatim. "" when there is no sentence, or when the model cannot score. One that
// stands alone is pointed to as well: it does good to read it again right before the question. Throws
// Error(kCancelled).
std::string closest_sentence(Asking& asking, const QueryPlan& plan, const FilledContext& context);

}  // namespace lectern
