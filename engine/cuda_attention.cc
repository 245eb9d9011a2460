// Attention and sparse prefill on a CUDA device.
#include <algorithm>
#include <cmath>

#include "engine/cuda_forward.h"

namespace lectern {

cuda::AttentionArgs CudaBackend::attention_args(int index, const Piece& piece) const {
  cuda::AttentionArgs args = {};
  std::copy(std::begin(piece.q), std::end(piece.q), args.q);
  args.kv = kv_layer(index);
  args.n_heads = config_.num_attention_heads;
  args.pages = piece.page_tables;
  args.scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim));
  args.n_splits = 1;
  args.out = const_cast<__nv_bfloat16*>(attended_.data());
  return args;
}

void CudaBackend::attend(int index, const Piece& piece, const CudaAttentionPlan& plan,
                         const AttentionInputs& inputs) {
  cuda::AttentionArgs args = attention_args(index, piece);
  if (!plan.sparse.empty()) {
    choose_pages(index, args, piece, plan, inputs);
    args.sparse = page_lists(plan);
  }
  const auto run = [&](const cuda::AttentionTask* tasks, size_t n, int rows, int most_pages) {
    if (n == 0) return;
    args.tasks = tasks;
    args.n_tasks = static_cast<int>(n);
    args.rows = rows;
    args.n_splits = splits(n, most_pages);
    args.partial =
        args.n_splits == 1
            ? nullptr
            : partial_.at_least(cuda::attention_partial_floats(args.n_tasks, config_.num_key_value_heads,
                                                               args.n_splits, rows, config_.head_dim));
    cuda::attention(args, stream_);
  };
  run(inputs.prefill, plan.prefill.size(), cuda::kPrefillRows, plan.prefill_pages);
  run(inputs.decode, plan.decode.size(), cuda::kDecodeRows, plan.decode_pages);
}

int CudaBackend::splits(size_t n_tasks, int most_pages) const {
  return attention_splits(static_cast<int>(n_tasks), config_.num_key_value_heads, most_pages,
                          n_multiprocessors_);
}

cuda::PageLists CudaBackend::page_lists(const CudaAttentionPlan& plan) {
  const size_t n_lists = plan.sparse.size() * static_cast<size_t>(config_.num_key_value_heads);
  const auto max_pages = static_cast<size_t>(std::max(plan.prefill_pages, plan.decode_pages));
  return {.lists = lists_.at_least(n_lists * max_pages),
          .n = list_lengths_.at_least(n_lists),
          .max_pages = static_cast<int32_t>(max_pages)};
}

// Gives the sparse tasks the pages that they read: all where a sampled query would lose more attention than
// it may.
void CudaBackend::choose_pages(int index, const cuda::AttentionArgs& attention, const Piece& piece,
                               const CudaAttentionPlan& plan, const AttentionInputs& inputs) {
  const SparsePrefill& options = options_.sparse_prefill;
  const int n_kv_heads = config_.num_key_value_heads, group = config_.group_size();
  const cuda::PageLists lists = page_lists(plan);
  for (size_t i = 0; i < plan.sparse_parts.size(); ++i) {
    const CudaAttentionPlan::SparsePart& part = plan.sparse_parts[i];
    float* means = page_means_.at_least(static_cast<size_t>(std::max(part.whole_pages, 1)) *
                                        static_cast<size_t>(config_.kv_size()));
    cuda::page_means(attention.kv, piece.page_tables + part.page_table, part.whole_pages, means, stream_);
    cuda::AttentionArgs args = attention;
    args.sparse = lists;
    args.tasks = inputs.sparse + part.first;
    args.n_tasks = part.n;
    args.rows = cuda::kPrefillRows;
    cuda::select_pages({.attention = args, .means = means, .threshold = options.threshold}, stream_);

    const size_t rows = static_cast<size_t>(n_kv_heads) * cuda::kDecodeRows;
    args.tasks = inputs.samples + 2 * i;
    args.n_tasks = 2;
    args.rows = cuda::kDecodeRows;
    args.out = nullptr;
    args.log_sum_exp = log_sum_exp_.at_least(2 * rows);
    args.n_splits = splits(2, lists.max_pages);
    if (args.n_splits > 1)
      args.partial = partial_.at_least(
          cuda::attention_partial_floats(2, n_kv_heads, args.n_splits, cuda::kDecodeRows, config_.head_dim));
    cuda::attention(args, stream_);
    float* recall = recall_.at_least(plan.sparse_parts.size() * static_cast<size_t>(n_kv_heads));
    cuda::fall_back(args.log_sum_exp, args.log_sum_exp + rows, n_kv_heads, cuda::kDecodeRows, group,
                    options.least_recall, part.first, part.n, lists,
                    recall + i * static_cast<size_t>(n_kv_heads), stream_);
  }
  if (sparse_tap_) report_sparse(index, plan);
}

void CudaBackend::report_sparse(int index, const CudaAttentionPlan& plan) {
  const auto n_kv_heads = static_cast<size_t>(config_.num_key_value_heads);
  std::vector<int32_t> lengths(plan.sparse.size() * n_kv_heads);
  std::vector<float> recall(plan.sparse_parts.size() * n_kv_heads);
  check_cuda(cudaMemcpyAsync(lengths.data(), list_lengths_.data(), lengths.size() * sizeof(int32_t),
                             cudaMemcpyDeviceToHost, stream_),
             "copy page lists");
  check_cuda(cudaMemcpyAsync(recall.data(), recall_.data(), recall.size() * sizeof(float),
                             cudaMemcpyDeviceToHost, stream_),
             "copy page lists");
  stream_.synchronize();
  for (size_t i = 0; i < plan.sparse_parts.size(); ++i) {
    const CudaAttentionPlan::SparsePart& part = plan.sparse_parts[i];
    for (size_t head = 0; head < n_kv_heads; ++head) {
      int64_t read = 0, visible = 0;
      for (int t = part.first; t < part.first + part.n; ++t) {
        const cuda::AttentionTask& task = plan.sparse[static_cast<size_t>(t)];
        const int n_pages = (task.first_position + task.n_queries - 1) / kKvPageTokens + 1;
        const int n = lengths[static_cast<size_t>(t) * n_kv_heads + head];
        visible += n_pages;
        read += n < 0 ? n_pages : n;
      }
      sparse_tap_({index, static_cast<int>(head), recall[i * n_kv_heads + head],
                   static_cast<double>(read) / static_cast<double>(visible)});
    }
  }
}

}  // namespace lectern
