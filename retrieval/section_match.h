// Which section of a passage a search has hit, where the passage holds several. Thread-safe, each thread with
// an Analyzer of its own.
#pragma once

#include <string>

#include "retrieval/analyzer.h"
#include "retrieval/collection.h"

namespace lectern {

// The heading path of the section whose text has the terms of `hit.terms` with the highest scores, each term
// counted once; of the first such section. `language` is the document's.
std::string best_matching_section(const SearchHit& hit, const std::string& language, Analyzer& analyzer);

}  // namespace lectern
