// Attention on a CUDA device.
#include <algorithm>
#include <cmath>

#include "engine/backend_options.h"
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
    args.sparse = page_lists(plan);
    if (by_vertical_slash(options_.sparse_prefill, config_)) args.gathered = gathered_columns(index, plan);
    choose_pages(index, args, piece, plan, inputs);
  }
  const auto run = [&](const cuda::AttentionTask* tasks, size_t n, int rows, int most_pages) {
    if (n == 0) return;
    args.tasks = tasks;
    args.n_tasks = static_cast<int>(n);
    args.rows = rows;
    run_attention(args, most_pages);
  };
  run(inputs.prefill, plan.prefill.size(), cuda::kPrefillRows, plan.prefill_pages);
  run(inputs.decode, plan.decode.size(), cuda::kDecodeRows, plan.decode_pages);
}

// The pages of the tasks, so many at most, shared out as their number asks for.
void CudaBackend::run_attention(cuda::AttentionArgs args, int most_pages) {
  args.n_splits = splits(static_cast<size_t>(args.n_tasks), most_pages);
  if (args.n_splits > 1)
    args.partial = partial_.at_least(cuda::attention_partial_floats(
        args.n_tasks, config_.num_key_value_heads, args.n_splits, args.rows, config_.head_dim));
  cuda::attention(args, stream_);
}

int CudaBackend::splits(size_t n_tasks, int most_pages) const {
  return attention_splits(static_cast<int>(n_tasks), config_.num_key_value_heads, most_pages,
                          n_multiprocessors_);
}

}  // namespace lectern
