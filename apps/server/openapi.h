// The descriptions of the API that are compiled in from apps/server/api/: plain JSON files, put together
// here. Pure functions.
#pragma once

#include <string_view>

#include "base/json.h"

namespace lectern::server {

// One of the files, parsed.
Json api_file(std::string_view name);

// A schema that refers to api/schemas.json by "#/components/schemas/NAME", as a schema of its own: what it
// refers to comes with it under "$defs".
Json with_definitions(const Json& schema);

// What GET /openapi.json gives: OpenAPI 3.1.
Json openapi_document(const std::string& version);

}  // namespace lectern::server
