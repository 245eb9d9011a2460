// Our own wire format: hits, answers and documents as docs/server.md describes them. Pure functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/common/byte_ranges.h"
#include "apps/server/service.h"
#include "base/json.h"

namespace lectern::server {

Json hit_json(const SearchHit& hit, const ByteRanges& marked);
// What a search found, with the words of its first query marked.
Json hits_json(const Collection& collection, const SearchRequest& request,
               const std::vector<SearchHit>& hits);
Json citation_json(const Citation& citation);
Json answer_json(const Answer& answer, const std::string& model);
Json document_json(const DocumentInfo& document);
Json collection_json(const OpenCollection& collection, const std::optional<std::string>& job);

}  // namespace lectern::server
