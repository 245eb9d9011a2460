// Level 1: the chunks that BM25 ranks first for the question, its parts and its keywords.
#pragma once

#include <vector>

#include "agent/asking.h"

namespace lectern {

// One search with the plan's queries, recorded in the trace.
std::vector<SourcePassage> search(Asking& asking, const QueryPlan& plan, int limit);

// Splits the request where that pays, searches, and asks for keywords where the question's own words find
// little; both go into `plan`, and are not asked for again by a later call. At most `limit` chunks, best
// first.
std::vector<SourcePassage> retrieve(Asking& asking, QueryPlan& plan, int limit);

// Takes out of the chunks that a search ranked those that a small model is better not shown, as the best are
// worth so much more: it answers from the wrong one of several. Kept are also the first chunks of documents
// that the question names, and all where keywords were needed or the number of chunks was asked for.
std::vector<SourcePassage> take_lesser(Asking& asking, const QueryPlan& plan,
                                       std::vector<SourcePassage>& ranked);

// How many chunks the model is given: what was asked for, else what suits it.
int wanted_passages(const Asking& asking);

}  // namespace lectern
