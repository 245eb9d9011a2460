// The feed-forward blocks of the CPU backend: dense, and Qwen2-MoE's mixture of experts.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "engine/cpu_backend.h"

namespace lectern {

// y (+)= down(silu(gate(x)) * up(x)), all jobs side by side.
void CpuBackend::mlps(std::span<const MlpJob> jobs) {
  const ScratchArena::Scope scope(arena_);
  const KernelTable& kernels = ops_.kernels();
  std::vector<float*> gates, ups;
  std::vector<MatmulJob> matmuls;
  std::vector<QuantizeJob> quantizes;
  const auto add_quantize = [&](DType dtype, const float* x, int n, int cols) {
    quantizes.push_back(
        {dtype, x, n, cols, arena_.take<std::byte>(kernels.activation_bytes(dtype, n, cols))});
    return quantizes.back().out;
  };

  for (const MlpJob& job : jobs) {
    const PackedMatrix &gate = job.mlp->gate_proj, &up = job.mlp->up_proj;
    const auto size = static_cast<size_t>(job.n_tokens) * static_cast<size_t>(gate.rows);
    gates.push_back(arena_.take<float>(size));
    ups.push_back(arena_.take<float>(size));
    const void* gate_x = add_quantize(gate.dtype, job.x, job.n_tokens, gate.cols);
    const bool same = kernels.activation_format(gate.dtype) == kernels.activation_format(up.dtype);
    const void* up_x = same ? gate_x : add_quantize(up.dtype, job.x, job.n_tokens, up.cols);
    matmuls.push_back({&gate, gate_x, job.n_tokens, gates.back(), gate.rows});
    matmuls.push_back({&up, up_x, job.n_tokens, ups.back(), up.rows});
  }
  ops_.quantize(quantizes);
  ops_.matmul(matmuls);

  quantizes.clear();
  matmuls.clear();
  for (size_t j = 0; j < jobs.size(); ++j) {
    const PackedMatrix& down = jobs[j].mlp->down_proj;
    const auto width = static_cast<size_t>(down.cols);
    ops_.for_rows(jobs[j].n_tokens, [&](int begin, int end) {
      const size_t at = static_cast<size_t>(begin) * width;
      kernels.silu_mul(gates[j] + at, ups[j] + at, static_cast<int64_t>(end - begin) * down.cols);
    });
    const void* x = add_quantize(down.dtype, gates[j], jobs[j].n_tokens, down.cols);
    matmuls.push_back({.w = &down,
                       .x = x,
                       .n_tokens = jobs[j].n_tokens,
                       .y = jobs[j].y,
                       .y_stride = config_.hidden_size,
                       .accumulate = jobs[j].accumulate});
  }
  ops_.quantize(quantizes);
  ops_.matmul(matmuls);
}

// Every token goes to its num_experts_per_tok likeliest experts and to the shared one, where there is one:
//   residual += sum_e p_e E_e(x) + sigmoid(x . w_shared_gate) Shared(x),   p = softmax_fp32(router(x))
// with p renormalised over the chosen experts only where the config says so.
void CpuBackend::sparse_mlp(const CpuLayer& layer, const float* x, int n, float* residual) {
  const ScratchArena::Scope scope(arena_);
  const auto h = static_cast<size_t>(config_.hidden_size), n_rows = static_cast<size_t>(n);
  const auto n_experts = static_cast<size_t>(config_.num_experts);
  const auto top_k = static_cast<size_t>(config_.num_experts_per_tok);
  const bool has_shared = config_.shared_expert_intermediate_size > 0;

  auto* probabilities = arena_.take<float>(n_rows * n_experts);
  const PackedMatrix* const router[] = {&layer.router};
  const MatmulJob route[] = {
      {&layer.router, quantised(x, n, router)[0], n, probabilities, config_.num_experts}};
  ops_.matmul(route);

  // Slot t*top_k + i is token t's i-th expert.
  const size_t n_slots = n_rows * top_k;
  std::vector<int> expert_of(n_slots);
  std::vector<float> weight_of(n_slots), shared_weight(n_rows);
  std::vector<int> order(n_experts);
  for (size_t t = 0; t < n_rows; ++t) {
    float* p = probabilities + t * n_experts;
    ops_.kernels().softmax(p, config_.num_experts);
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(top_k), order.end(),
                      [p](int a, int b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
    float chosen = 0.0f;
    for (size_t i = 0; i < top_k; ++i) chosen += p[order[i]];
    for (size_t i = 0; i < top_k; ++i) {
      expert_of[t * top_k + i] = order[i];
      weight_of[t * top_k + i] = p[order[i]] / (config_.norm_topk_prob ? chosen : 1.0f);
    }
    if (!has_shared) continue;
    const Vector& gate = layer.source->moe.shared_expert_gate;
    shared_weight[t] =
        1.0f / (1.0f + std::exp(-std::inner_product(gate.begin(), gate.end(), x + t * h, 0.0f)));
  }

  // The rows of one expert lie together: slot s is row row_of[s] of expert_x.
  std::vector<size_t> first_row(n_experts + 1, 0);
  for (const int e : expert_of) ++first_row[static_cast<size_t>(e) + 1];
  std::partial_sum(first_row.begin(), first_row.end(), first_row.begin());
  std::vector<size_t> next_row(first_row.begin(), first_row.end() - 1), row_of(n_slots);
  auto* expert_x = arena_.take<float>(n_slots * h);
  auto* expert_y = arena_.take<float>(n_slots * h);
  auto* shared_y = arena_.take<float>(n_rows * h);
  for (size_t s = 0; s < n_slots; ++s) {
    row_of[s] = next_row[static_cast<size_t>(expert_of[s])]++;
    std::memcpy(expert_x + row_of[s] * h, x + s / top_k * h, h * sizeof(float));
  }

  std::vector<MlpJob> jobs;
  if (has_shared) jobs.push_back({&layer.shared_expert, x, n, shared_y, false});
  for (size_t e = 0; e < n_experts; ++e) {
    const size_t begin = first_row[e], count = first_row[e + 1] - begin;
    if (count == 0) continue;
    jobs.push_back(
        {&layer.experts[e], expert_x + begin * h, static_cast<int>(count), expert_y + begin * h, false});
  }
  mlps(jobs);

  ops_.for_rows(n, [&](int begin, int end) {
    for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t) {
      float* row = residual + t * h;
      for (size_t s = t * top_k; s < (t + 1) * top_k; ++s) {
        ops_.kernels().add_scaled(row, expert_y + row_of[s] * h, weight_of[s], config_.hidden_size);
      }
      if (has_shared) {
        ops_.kernels().add_scaled(row, shared_y + t * h, shared_weight[t], config_.hidden_size);
      }
    }
  });
}

}  // namespace lectern
