// The two ways a model lies on disk, each read into the same parts. Used by model_file.cc only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "engine/config.h"
#include "engine/model.h"
#include "engine/model_file.h"

namespace lectern {

struct LoadedModel {
  std::vector<MappedFile> files;  // what `weights` refers to
  Qwen2Config config;
  Weights weights;
  Vocabulary vocabulary;
  std::string quantisation;
};

// Limits that keep a hostile vocabulary small; Qwen2's has 151,936 tokens and 151,387 merges.
inline constexpr uint64_t kMaxVocabularyTokens = 1 << 21;
inline constexpr uint64_t kMaxMerges = 1 << 21;

// `path`: the file, or the first part of a split one.
LoadedModel load_gguf(const std::filesystem::path& path);
LoadedModel load_hugging_face(const std::filesystem::path& folder);

// "a b", as the files keep a merge, into its two tokens: false unless both are there.
[[nodiscard]] bool split_merge(std::string_view text, std::pair<std::string, std::string>& merge);

}  // namespace lectern
