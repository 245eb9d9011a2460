// Do the passages hold the answer? Judged before anything is answered: by what the search found of the
// question and, where that leaves it open, by a scored yes/no of the model. The prompt of the yes/no begins
// as the answer's does, and its beginning stays in the KV cache: the answer does not read the passages again.
// Where the words of the question tell nothing, by how likely the passages make the question (kept_judge.h).
#pragma once

#include <optional>

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// Where the passages come from: a search, or they are all there is (level 0).
enum class Passages { kFound, kAll };

// Probability, 0 to 1, that the passages hold the answer; in the trace as "sufficiency". The words tell
// nothing among fewer than 16 chunks, where nothing was searched, and where some document is in another
// language than the question. None where it cannot be judged: the model is none that refuses, the question
// has hardly a word to look for or, of all there is, asks for no fact (asked_fact.h), or the model fails to
// score. Throws kCancelled.
std::optional<double> sufficiency(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                                  Passages passages);

}  // namespace lectern
