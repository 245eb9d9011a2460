// Checks that what a store says about its documents, chunks and postings agrees.
#pragma once

#include "retrieval/store.h"

namespace lectern {

// Reads everything: chunks are analysed again and compared with their postings, unless another version of the
// analysis made these. Throws Error(kCorrupt) that names the first disagreement.
void verify_store(StoreSession& session);

}  // namespace lectern
