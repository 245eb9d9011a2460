// The feed-forward blocks on a CUDA device: dense, and Qwen2-MoE's mixture of experts.
#include <cstring>

#include "engine/cuda_forward.h"

namespace lectern {

// y (+)= down(silu(gate(x)) * up(x))
void CudaBackend::mlp(const CudaMlp& mlp, const __nv_bfloat16* x, int n, const ProductRows& y) {
  const int width = mlp.gate_proj.rows;
  matmul_.run(mlp.gate_proj, x, n, {.bf16 = gate_.data(), .stride = width});
  matmul_.run(mlp.up_proj, x, n, {.bf16 = up_.data(), .stride = width});
  cuda::silu_mul(gate_.data(), up_.data(), int64_t{n} * width, stream_);
  matmul_.run(mlp.down_proj, gate_.data(), n, y);
}

// As engine/cpu_mlp.cc says. The rows of one expert lie together; how many there are decides which products
// run, so the host waits for the routing once a layer.
void CudaBackend::sparse_mlp(const CudaLayer& layer, const __nv_bfloat16* x, int n, float* residual) {
  const int h = config_.hidden_size, n_experts = config_.num_experts, top_k = config_.num_experts_per_tok;
  const int n_slots = n * top_k;
  const bool has_shared = config_.shared_expert_intermediate_size > 0;
  matmul_.run(layer.router, x, n, {.f32 = router_.data(), .stride = n_experts});
  cuda::route(router_.data(), n, n_experts, top_k, config_.norm_topk_prob, expert_ids_.data(),
              expert_weights_.data(), stream_);
  int32_t* first_row = expert_rows_.data();
  int32_t* row_of = first_row + n_experts + 1;
  cuda::group_by_expert(expert_ids_.data(), n_slots, n_experts, first_row, row_of, stream_);
  cuda::scatter_to_experts(x, row_of, n_slots, top_k, h, expert_x_.data(), stream_);
  std::vector<int32_t> first(static_cast<size_t>(n_experts) + 1);
  check_cuda(cudaMemcpyAsync(first.data(), first_row, first.size() * sizeof(int32_t), cudaMemcpyDeviceToHost,
                             stream_),
             "copy the routing");
  if (has_shared) mlp(layer.shared_expert, x, n, {.f32 = shared_y_.data(), .stride = h});
  stream_.synchronize();
  for (size_t e = 0; e < static_cast<size_t>(n_experts); ++e) {
    const auto begin = static_cast<size_t>(first[e]) * static_cast<size_t>(h);
    mlp(layer.experts[e], expert_x_.data() + begin, first[e + 1] - first[e],
        {.f32 = expert_y_.data() + begin, .stride = h});
  }
  cuda::combine_experts(expert_y_.data(), row_of, expert_weights_.data(), x, layer.shared_expert_gate,
                        has_shared ? shared_y_.data() : nullptr, n, top_k, h, residual, stream_);
}

}  // namespace lectern
