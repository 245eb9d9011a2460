// The real weights that tests labelled "model" use, when they are there (lectern pull ID).
#pragma once

#include <filesystem>
#include <string>

#include "base/files.h"

namespace lectern {

inline std::filesystem::path real_model_path(const std::string& file_name) {
  return cache_folder() / "models" / file_name;
}

inline constexpr const char* kSmallModelFile = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
inline constexpr const char* kDefaultModelFile = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";

}  // namespace lectern
