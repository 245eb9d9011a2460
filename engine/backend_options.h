// What every backend does with its options.
#pragma once

#include "engine/backend.h"

namespace lectern {

// Throws Error(kInvalidArgument) for values that make no sense.
void check_options(const BackendOptions& options);

// The context of a sequence: the model's, or less where that was asked for.
int context_within(const BackendOptions& options, const Qwen2Config& config);

// The cache's capacity where none was asked for: what `free_bytes` hold, at least a page and at most the
// context.
int64_t affordable_kv_tokens(int context_tokens, int64_t bytes_per_token, int64_t free_bytes);

// Tokens of a piece on the CPU, where none were asked for.
inline constexpr int kCpuPrefillChunk = 512;

// Beyond the capacity asked for: sequences that share a partly filled page each hold a copy of it.
inline constexpr int kSpareKvPages = 8;
// Pages for `kv_tokens` positions and the spare ones.
int kv_pages_for(int64_t kv_tokens);

// Whether long prompts are read by columns and diagonals (vertical_slash.h), not by the means of pages.
bool by_vertical_slash(const SparsePrefill& sparse, const Qwen2Config& config);

// The part of Backend::numerics that sparse prefill adds, empty where it never happens.
std::string sparse_numerics(const SparsePrefill& sparse, const Qwen2Config& config);

}  // namespace lectern
