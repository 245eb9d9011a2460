// The one place that parses JSON text. Values are nlohmann::json, used as plain data by the layers above.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lectern {

// Keeps the order in which keys were written: what people read and what prompts show.
using Json = nlohmann::ordered_json;

// Deeper input is refused: copying and printing a value recurse.
inline constexpr int kMaxJsonDepth = 64;

// Parses UTF-8 JSON text. Throws Error(kCorrupt) that names `origin` and the byte offset; refuses nesting
// deeper than kMaxJsonDepth before anything is built.
Json parse_json(std::string_view text, const std::string& origin);

// Prints without ever throwing: ill-formed UTF-8 in strings becomes U+FFFD. indent < 0 prints one line.
std::string dump_json(const Json& value, int indent = -1);

}  // namespace lectern
