#include "engine/backend_options.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "base/thread_pool.h"

namespace lectern {
namespace {

// In the cache, far beyond any context and memory, so that no number of bytes or pages overflows.
constexpr int64_t kMaxKvTokens = int64_t{1} << 30;

}  // namespace

void check_options(const BackendOptions& options) {
  if (options.n_threads < 0 || options.kv_tokens < 0 || options.max_context_tokens < 0 ||
      options.prefill_chunk_tokens < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "the number of threads, the KV cache's capacity, the context and the prefill chunk cannot be "
                "negative");
  }
  const SparsePrefill& sparse = options.sparse_prefill;
  if (sparse.above_tokens < 0 || !(sparse.threshold >= 0 && sparse.threshold <= 1) ||
      !(sparse.least_recall >= 0 && sparse.least_recall <= 1)) {
    throw Error(ErrorCode::kInvalidArgument,
                "sparse prefill: the threshold and the recall are shares from 0 to 1, and the length above "
                "which it begins is not negative");
  }
  if (options.n_threads > ThreadPool::kMaxThreads || options.kv_tokens > kMaxKvTokens) {
    throw Error(ErrorCode::kInvalidArgument, "at most " + std::to_string(ThreadPool::kMaxThreads) +
                                                 " threads and a KV cache of " +
                                                 std::to_string(kMaxKvTokens) + " tokens can be asked for");
  }
}

int context_within(const BackendOptions& options, const Qwen2Config& config) {
  const int most = config.context_tokens();
  return options.max_context_tokens == 0 ? most : std::min(options.max_context_tokens, most);
}

int64_t affordable_kv_tokens(int context_tokens, int64_t bytes_per_token, int64_t free_bytes) {
  return std::min<int64_t>(std::max<int64_t>(free_bytes / bytes_per_token, kKvPageTokens), context_tokens);
}

int kv_pages_for(int64_t kv_tokens) {
  return static_cast<int>((kv_tokens + kKvPageTokens - 1) / kKvPageTokens) + kSpareKvPages;
}

bool by_vertical_slash(const SparsePrefill& sparse, const Qwen2Config& config) {
  return sparse.vertical_slash && !config.sparse_attention.empty();
}

std::string sparse_numerics(const SparsePrefill& sparse, const Qwen2Config& config) {
  if (config.context_tokens() <= sparse.above_tokens) return "";
  std::string selector = "page-means " + std::to_string(sparse.threshold);
  if (by_vertical_slash(sparse, config)) {
    Sha256 budgets;
    for (const auto& layer : config.sparse_attention)
      for (const VerticalSlashBudget& head : layer)
        budgets.update(std::to_string(head.vertical) + " " + std::to_string(head.slash) + "\n");
    selector = "vertical-slash " + budgets.hex_digest();
  }
  return " sparse " + std::to_string(sparse.above_tokens) + " " + selector + " " +
         std::to_string(sparse.least_recall);
}

}  // namespace lectern
