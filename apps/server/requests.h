// Searches and questions as our own routes and the tools of MCP take them: fields checked, limits kept. Pure
// functions; they throw HttpError(400) that names the field.
#pragma once

#include "agent/agent.h"
#include "apps/server/http.h"
#include "retrieval/collection.h"

namespace lectern::server {

inline constexpr size_t kMaxQueryBytes = 8 << 10;
inline constexpr int kMaxHits = 100;

// {"query", "limit": 10, "names": false}
SearchRequest read_search(const Fields& fields);
// {"question", "level": "auto", "history", "seed": 0, "max_tokens": 512, "budget"}
AskRequest read_ask(const Fields& fields);

}  // namespace lectern::server
