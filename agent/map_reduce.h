// Level "whole": requests about whole documents. The documents are read in spans that suit the model; of each
// the model notes a few points, and the sentences of the document that support them are kept, verbatim
// (map). Where these are still more than can be read at once they are read again in the same way (reduce).
// The answer is written from the sentences that are left, so that whatever it cites stands in a document.
#pragma once

#include "agent/asking.h"
#include "agent/whole_request.h"

namespace lectern {

// Which documents the request is about, and what is to be done with them; kNone when it is no such request.
// Forced by the levels kWhole and kNative.
WholeRequest understand_whole(Asking& asking, const QueryPlan& plan);

// Fills the answer. What is read is limited by the budget, or, without one, by what suits the model
// (model_profile.h); Answer::chunks_read and chunks_in_scope tell how much it was. Throws Error(kCancelled).
void answer_whole(Asking& asking, QueryPlan plan, const WholeRequest& whole, Answer& answer);

}  // namespace lectern
