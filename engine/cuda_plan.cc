#include "engine/cuda_plan.h"

#include <algorithm>
#include <climits>

#include "engine/vertical_slash.h"

namespace lectern {
namespace {

int pages_of(const cuda::AttentionTask& task) {
  return (task.first_position + task.n_queries - 1) / kKvPageTokens + 1;
}

class Planner {
 public:
  Planner(const Qwen2Config& config, const SparsePrefill& sparse)
      : config_(config),
        sparse_(sparse),
        chunk_(config.dual_chunk_attention ? config.dual_chunk_attention->key_chunk_tokens() : INT_MAX) {}

  // Adds the queries of a part.
  void add(const BatchPart& part, int page_table, CudaAttentionPlan& plan) const {
    const int n = part.n_tokens, group = config_.group_size();
    const bool few = n * group <= kMostDecodeRows;
    const int n_sparse = n_sparse_tokens(part, sparse_);
    const auto first_sparse = static_cast<int>(plan.sparse.size());
    for (cuda::AttentionTask& task :
         cut(part.first_position, n, few ? cuda::kDecodeRows : cuda::kPrefillRows, page_table)) {
      task.row += part.row;
      if (task.row + task.n_queries <= part.row + n_sparse) {
        task.sparse = static_cast<int>(plan.sparse.size());
        task.part = static_cast<int>(plan.sparse_parts.size());
        plan.sparse.push_back(task);
      }
      (few ? plan.decode : plan.prefill).push_back(task);
      int& most = few ? plan.decode_pages : plan.prefill_pages;
      most = std::max(most, pages_of(task));
    }
    const auto n_lists = static_cast<int>(plan.sparse.size()) - first_sparse;
    if (n_lists == 0) return;
    cuda::AttentionTask sample = plan.sparse.back();
    sample.row += sample.n_queries - 1;
    sample.first_position += sample.n_queries - 1;
    sample.n_queries = 1;
    plan.samples.push_back(sample);
    sample.sparse = -1;
    plan.samples.push_back(sample);

    const int n_last = std::min(n, kEstimateQueries), before = n - n_last;
    const auto last = cut(part.first_position + before, n_last, cuda::kPrefillRows, page_table);
    plan.sparse_parts.push_back({.first = first_sparse,
                                 .n = n_lists,
                                 .page_table = page_table,
                                 .whole_pages = (part.first_position + n - 1) / kKvPageTokens,
                                 .first_last = static_cast<int>(plan.last.size()),
                                 .n_last = static_cast<int>(last.size()),
                                 .last_row = part.row + before,
                                 .last_position = part.first_position + before,
                                 .n_keys = part.first_position + n});
    plan.last.insert(plan.last.end(), last.begin(), last.end());
  }

  int query_kinds(const BatchPart& part) const {
    return std::min((part.first_position + part.n_tokens - 1) / chunk_ + 1, kKeyChunks);
  }

 private:
  // n queries as tasks of at most so many rows, each of one chunk; rows of q count from 0.
  std::vector<cuda::AttentionTask> cut(int first_position, int n, int rows, int page_table) const {
    const int queries = std::max(1, rows / config_.group_size());
    std::vector<cuda::AttentionTask> tasks;
    for (int begin = 0, end = 0; begin < n; begin = end) {
      const int position = first_position + begin, intra = position / chunk_ * chunk_;
      end = begin + std::min({queries, n - begin, chunk_ - (position - intra)});
      tasks.push_back({.row = begin,
                       .n_queries = end - begin,
                       .first_position = position,
                       .page_table = page_table,
                       .succ_page = std::max(intra - chunk_, 0) / kKvPageTokens,
                       .intra_page = intra / kKvPageTokens,
                       .sparse = -1,
                       .part = 0});
    }
    return tasks;
  }

  // Up to four blocks of decoding: a few drafted tokens with their query heads.
  static constexpr int kMostDecodeRows = 4 * cuda::kDecodeRows;

  const Qwen2Config& config_;
  const SparsePrefill& sparse_;
  int chunk_;
};

// The longest first, so that no multiprocessor is left alone with a long one at the end.
void sort_by_work(CudaAttentionPlan& plan) {
  std::stable_sort(
      plan.prefill.begin(), plan.prefill.end(),
      [](const cuda::AttentionTask& a, const cuda::AttentionTask& b) { return pages_of(a) > pages_of(b); });
}

}  // namespace

CudaPiecePlan plan_piece(const BatchPiece& piece, const Qwen2Config& config, const SparsePrefill& sparse) {
  const Planner planner(config, sparse);
  CudaPiecePlan plan;
  plan.n = piece.n_tokens;
  for (const BatchPart& part : piece.parts) {
    const auto page_table = static_cast<int>(plan.page_tables.size());
    const int n_pages = (part.first_position + part.n_tokens - 1) / kKvPageTokens + 1;
    const auto pages = part.sequence->pages.first(static_cast<size_t>(n_pages));
    plan.page_tables.insert(plan.page_tables.end(), pages.begin(), pages.end());
    for (int i = 0; i < part.n_tokens; ++i) {
      const int position = part.first_position + i;
      plan.tokens.push_back(part.sequence->tokens[static_cast<size_t>(part.begin + i)]);
      plan.positions.push_back(position);
      plan.pages.push_back(pages[static_cast<size_t>(position / kKvPageTokens)]);
    }
    planner.add(part, page_table, plan.attention);
    if (part.n_wanted > 0)
      planner.add(wanted_part(part, static_cast<int>(plan.wanted.size())), page_table, plan.last_attention);
    for (int i = part.n_tokens - part.n_wanted; i < part.n_tokens; ++i) plan.wanted.push_back(part.row + i);
    if (config.dual_chunk_attention)
      plan.n_query_kinds = std::max(plan.n_query_kinds, planner.query_kinds(part));
  }
  sort_by_work(plan.attention);
  sort_by_work(plan.last_attention);
  return plan;
}

int attention_splits(int n_tasks, int n_kv_heads, int most_pages, int n_multiprocessors) {
  int splits = 1;
  while (n_tasks * n_kv_heads * splits * 2 <= 2 * n_multiprocessors && splits * 4 <= most_pages) splits *= 2;
  return splits;
}

}  // namespace lectern
