// The last step of every level: the answer from the passages, streamed, with verified citations.
#pragma once

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// Fills the answer's text, citations, unsupported sentences, context and `found`. Without passages the model
// is not asked.
void write_answer(Asking& asking, const QueryPlan& plan, const FilledContext& context, int max_answer_tokens,
                  Answer& answer);

}  // namespace lectern
