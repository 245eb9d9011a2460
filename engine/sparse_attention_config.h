// The budgets of sparse attention as the 1M models ship them: sparse_attention_config.json, an array of one
// object a layer, from the query head's index to ["vertical_and_slash", V, S, score]:
//   [{"0": ["vertical_and_slash", 1000, 6096, 0.9], "1": ...}, ...]
// V columns and S diagonals are read (vertical_slash.h); the score is a measure of whoever wrote the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/config.h"

namespace lectern {

inline constexpr const char* kSparseAttentionFile = "sparse_attention_config.json";  // in a model's folder

using SparseAttention = std::vector<std::vector<VerticalSlashBudget>>;  // as in Qwen2Config

// Throws Error(kCorrupt) that names `origin`, the layer, the head and what is expected there.
SparseAttention read_sparse_attention(const Json& json, const Qwen2Config& config, const std::string& origin);
// Throws as read_file and parse_json do, too.
SparseAttention read_sparse_attention_file(const std::filesystem::path& path, const Qwen2Config& config);

// The file's text, with `score` for every head.
std::string sparse_attention_json(const SparseAttention& budgets, double score);

}  // namespace lectern
