// Level 2: chunks are read one by one, each judged against the question from prefill alone (chunk_judge.h),
// where search by words alone cannot tell which of them answers it.
#pragma once

#include <optional>
#include <vector>

#include "agent/asking.h"

namespace lectern {

// Reads chunks in the order of the level 1 search, then the others in document order, until all are read, the
// budget is spent (AskRequest::budget; scores kept from earlier questions cost nothing), or one passes and
// many after it are no better. What has been read by then is used. Sentences of the best chunks, chosen by
// the model, are searched for in turn, and what they find (a dozen chunks) is read beyond the budget of
// chunks; no chunk is read twice. Best first, at most `limit`; when nothing passes, still those that scored
// best. A model that fails to score leaves the level 1 ranking. `max_chunks`: scored at most where the
// request sets no such budget; 0: no limit. Throws Error(kCancelled).
struct ReadResult {
  std::vector<SourcePassage> best;
  // How surely the best chunk answers, 0 to 1, from how much likelier it makes the question than a passage
  // that says nothing; none when no chunk could be scored.
  std::optional<double> likely;
};
ReadResult read_and_rank(Asking& asking, QueryPlan& plan, int limit, int max_chunks = 0);

}  // namespace lectern
