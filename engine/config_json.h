// A model's shape from the config.json of a Hugging Face folder.
#pragma once

#include <string>
#include <string_view>

#include "engine/config.h"

namespace lectern {

// The configuration, validated; its name is left empty. Throws Error(kCorrupt, kUnsupported) that names
// `origin` and the field.
Qwen2Config read_config_json(std::string_view text, const std::string& origin);

}  // namespace lectern
