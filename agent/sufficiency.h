// Do the passages hold the answer? A judgement before anything is answered: what the search found of the
// question, and one scored yes/no of the model over the same passages, whose prompt begins as the answer's
// does, so that the answer finds it in the KV cache. The weights were fitted (docs/evaluation.md).
#pragma once

#include <optional>

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// What speaks for and against; all but `yes` are shares, 0 to 1.
struct EvidenceSigns {
  double match = 0;  // of the BM25 score that a chunk with all the question's words would get, the best chunk
  double words = 0;  // of the question's words, those in the passages
  double names = 1;  // of its names and numbers; 1 when it has none
  double yes = 0;    // log-odds of "Yes" against "No" when the model is asked; 0 when it was not
};

// Probability that the passages hold the answer, 0 to 1, from signs; traced as "sufficiency". None where it
// cannot be judged: no search was made (level 0), the question is in no language of the documents, or it has
// hardly a word to look for. A model that cannot score is not asked. Throws kCancelled.
std::optional<double> sufficiency(Asking& asking, const QueryPlan& plan, const FilledContext& context);

}  // namespace lectern
