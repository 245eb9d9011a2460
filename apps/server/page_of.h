// Lists as OpenAI's clients page through them: limit, order, after and before in the query.
#pragma once

#include <vector>

#include "apps/server/http.h"

namespace lectern::server {

// `items`, each with an "id", oldest first. The reply: {"object": "list", "data", "first_id", "last_id",
// "has_more"}, newest first unless the client asks for order=asc. Throws HttpError(400) naming the parameter.
Json page_of(const Call& call, std::vector<Json> items, size_t default_limit, size_t max_limit);

}  // namespace lectern::server
