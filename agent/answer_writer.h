// The last step of every level: the answer from the passages, streamed, with verified citations.
#pragma once

#include <optional>

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// Fills the answer's text, citations, unsupported sentences, context and `found`. Without passages the model
// is not asked. `likely`: how surely the passages hold the answer, where that was judged; what follows from
// it is in model_profile.h, EvidenceJudge.
void write_answer(Asking& asking, const QueryPlan& plan, const FilledContext& context, int max_answer_tokens,
                  std::optional<double> likely, Answer& answer);

}  // namespace lectern
