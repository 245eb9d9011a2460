// Reads the JSON that a model wrote. Our engine constrains it while decoding; a remote model may wrap it in a
// code fence or prose, or break it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace lectern {

// The object between the first '{' and the last '}'; none when that is not valid JSON.
std::optional<Json> reply_object(std::string_view reply);

// The non-empty strings under `key`, trimmed, without repeats; a lone string counts as a list of one.
// Anything else is left out.
std::vector<std::string> string_list(const Json& object, const std::string& key);

}  // namespace lectern
