// Indexing and searching as all surfaces speak of them. Pure functions.
#pragma once

#include <string>

#include "base/json.h"
#include "retrieval/collection.h"

namespace lectern {

Json to_json(const IndexReport& report);

// Throws Error(kInvalidArgument) when `text`, the `what` of a request, has no word that could be looked for.
void require_words(const std::string& text, const std::string& what);

}  // namespace lectern
