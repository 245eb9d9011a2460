// Level 4: the documents are given to the model whole, in one prompt, with the question after the text, so
// that the text is read once and asked about again and again (LmRequest::keep_bytes). The answer is checked
// and cited as on every level: its sentences are looked up in the text.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "agent/asking.h"
#include "agent/context.h"
#include "agent/whole_request.h"

namespace lectern {

// Those among which a request may name some: none when there are very many.
std::vector<DocumentName> document_names(DocumentSource& documents);

// The documents that a request names (whole_request.h), else all.
std::vector<int64_t> documents_meant(DocumentSource& documents, std::string_view request);

// All of these documents, in this order; `tokens` is not counted.
FilledContext whole_text(DocumentSource& documents, std::span<const int64_t> ids, const CancelToken& cancel);

// The text of `whole.documents` where it is better read at once than in spans (map_reduce.h): by a model that
// reads long texts well (model_profile.h), when it fits the window, and when no more is read in this way or
// it was kept from before. Never for a list, or within a budget of chunks or seconds.
std::optional<FilledContext> better_read_at_once(Asking& asking, const QueryPlan& plan,
                                                 const WholeRequest& whole);

// Fills the answer from `text`, or, without it, from the documents that are meant. Throws
// Error(kInvalidArgument) when they do not fit the window; kCancelled.
void answer_from_whole_text(Asking& asking, QueryPlan plan, const WholeRequest& whole,
                            std::optional<FilledContext> text, Answer& answer);

}  // namespace lectern
