// POST /v1/vector_stores/ID/search, and the same for the file_search tool. Thread-safe as the service is.
#pragma once

#include <string>
#include <vector>

#include "apps/server/http.h"
#include "apps/server/store_view.h"

namespace lectern::server {

inline constexpr int kMaxSearchResults = 50;

struct StoreQuery {
  std::vector<std::string> texts;
  int max_results = 10;
  double score_threshold = 0;
  std::optional<AttributeFilter> filter;
};

// "max_num_results", "filters" and "ranking_options". Throws HttpError(400).
StoreQuery read_store_query(const Fields& fields, int default_results);

// {"file_id", "filename", "score", "attributes", "content": [{"type": "text", "text"}]} with the fields of
// hit_json() under "lectern". Best first.
Json search_results(Service& service, const StoreView& view, const StoreQuery& query);

// The whole reply.
Json search_page(Service& service, const StoreView& view, const Fields& fields);

}  // namespace lectern::server
