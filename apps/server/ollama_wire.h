// What Ollama's routes write in the same way. Pure functions.
#pragma once

#include <ctime>
#include <string>

#include "apps/server/model_host.h"
#include "base/json.h"

namespace lectern::server {

std::string ollama_time(std::time_t time);
Json ollama_details(const std::string& id);  // of a model
Json ollama_tag(const std::string& name, const ModelInfo& model);

}  // namespace lectern::server
