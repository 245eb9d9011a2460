// Our own wire format: hits, answers and documents as docs/server.md describes them. Pure functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/server/service.h"
#include "base/json.h"

namespace lectern::server {

using ByteRanges = std::vector<std::pair<uint64_t, uint64_t>>;

// The words of `text` that the query names, as ranges of bytes: ascending, disjoint.
ByteRanges highlights(const std::string& query, const std::string& text,
                      const std::vector<std::string>& languages);

Json hit_json(const SearchHit& hit, const ByteRanges& marked);
// What a search found, with the words of its first query marked.
Json hits_json(const Collection& collection, const SearchRequest& request,
               const std::vector<SearchHit>& hits);
Json citation_json(const Citation& citation);
Json answer_json(const Answer& answer, const std::string& model);
Json document_json(const DocumentInfo& document);
Json collection_json(const OpenCollection& collection, const std::optional<std::string>& job);

// [begin, end) moved out to the borders of characters, within the text.
std::pair<uint64_t, uint64_t> whole_characters(const std::string& text, uint64_t begin, uint64_t end);

}  // namespace lectern::server
