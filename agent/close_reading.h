// Which sentences of the passages answer the question, from prefill alone. A small model that answers from
// several passages at once sometimes reads the wrong sentence; shown alone, it tells them apart.
#pragma once

#include <optional>

#include "agent/asking.h"
#include "agent/context.h"

namespace lectern {

// The passages with only the sentences that make the question likeliest and those around them; passages
// without any are left out. `cited`: quotes that an answer rests on so far, verbatim sentences; may be empty.
// Nothing when no sentence makes the question clearly likelier than each of `cited` does, or without these,
// much likelier than a passage that says nothing does (chunk_judge.h), or when the model cannot score. Throws
// Error(kCancelled).
std::optional<FilledContext> read_closely(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                                          const std::vector<std::string>& cited);

}  // namespace lectern
