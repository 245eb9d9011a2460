// How passages are shown, beside what places.h says of their place.
#pragma once

#include <string>

#include "apps/common/places.h"
#include "base/json.h"

namespace lectern::cli {

// {"path", "title", "heading", "lines": [first, last], "pages": [first, last] or null}
Json to_json(const Place& place);

// `text` with every line indented, control characters made visible.
std::string indented(const std::string& text, int columns);

}  // namespace lectern::cli
