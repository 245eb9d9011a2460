// Mixture of experts (as engine/cpu_mlp.cc does it): which experts each token goes to, the tokens sorted by
// expert, and their results added up. Nothing depends on the order of threads, so neither do results.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/vectors.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

struct Candidate {
  float p;
  int expert;
};
// Whether a comes before b: likelier, or the lower index.
__device__ __forceinline__ bool before(const Candidate& a, const Candidate& b) {
  return a.p > b.p || (a.p == b.p && a.expert < b.expert);
}

// A warp a token. Each pass finds the best of those that come after the last one found.
__global__ void route_kernel(const float* logits, int n, int n_experts, int top_k, bool renormalise,
                             int32_t* experts, float* weights) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t token = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (token >= n) return;  // the whole warp
  const float* x = logits + token * n_experts;
  float largest = -INFINITY, sum = 0;
  for (int e = lane; e < n_experts; e += 32) largest = fmaxf(largest, x[e]);
  largest = warp_max(largest);
  for (int e = lane; e < n_experts; e += 32) sum += expf(x[e] - largest);
  const float inverse = 1.0f / warp_sum(sum);

  Candidate last = {INFINITY, -1};
  float chosen = 0;
  for (int i = 0; i < top_k; ++i) {
    Candidate best = {-1.0f, n_experts};
    for (int e = lane; e < n_experts; e += 32) {
      const Candidate candidate = {expf(x[e] - largest) * inverse, e};
      if (before(last, candidate) && before(candidate, best)) best = candidate;
    }
    for (int mask = 16; mask > 0; mask /= 2) {
      const Candidate other = {__shfl_xor_sync(0xffffffffu, best.p, mask),
                               __shfl_xor_sync(0xffffffffu, best.expert, mask)};
      if (before(other, best)) best = other;
    }
    if (best.expert == n_experts) best = {NAN, i};  // of logits that are not numbers; still a valid index
    last = best;
    chosen += best.p;
    if (lane == 0) {
      experts[token * top_k + i] = best.expert;
      weights[token * top_k + i] = best.p;
    }
  }
  if (lane == 0 && renormalise)
    for (int i = 0; i < top_k; ++i) weights[token * top_k + i] /= chosen;
}

// The sum of `count` over all warps, where all lanes of a warp have the same, and over the warps before.
struct Counts {
  int all, before;
};
__device__ __forceinline__ Counts count_warps(int count) {
  __shared__ int counts[kWarps];
  const int warp = static_cast<int>(threadIdx.x / 32);
  __syncthreads();  // counts may still be read from the last call
  if (threadIdx.x % 32 == 0) counts[warp] = count;
  __syncthreads();
  Counts result = {0, 0};
  for (int i = 0; i < kWarps; ++i) {
    if (i < warp) result.before += counts[i];
    result.all += counts[i];
  }
  return result;
}

// A block an expert: it counts the slots of the experts before, then numbers its own in their order.
__global__ void group_by_expert_kernel(const int32_t* experts, int n_slots, int n_experts, int32_t* first_row,
                                       int32_t* row_of) {
  const int expert = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  int n_before = 0;
  for (int first = 0; first < n_slots; first += kThreads) {
    const int slot = first + thread;
    n_before += __popc(__ballot_sync(0xffffffffu, slot < n_slots && experts[slot] < expert));
  }
  int row = count_warps(n_before).all;
  if (thread == 0) first_row[expert] = row;
  if (thread == 0 && expert == 0) first_row[n_experts] = n_slots;
  for (int first = 0; first < n_slots; first += kThreads) {
    const int slot = first + thread;
    const bool mine = slot < n_slots && experts[slot] == expert;
    const unsigned of_warp = __ballot_sync(0xffffffffu, mine);
    const Counts counts = count_warps(__popc(of_warp));
    if (mine) row_of[slot] = row + counts.before + __popc(of_warp & ((1u << thread % 32) - 1u));
    row += counts.all;
  }
}

// A block a slot.
__global__ void scatter_to_experts_kernel(const uint4* x, const int32_t* row_of, int top_k, int row_words,
                                          uint4* grouped) {
  const int64_t slot = blockIdx.x;
  const uint4* from = x + slot / top_k * row_words;
  uint4* to = grouped + int64_t{row_of[slot]} * row_words;
  for (int i = static_cast<int>(threadIdx.x); i < row_words; i += kThreads) to[i] = from[i];
}

__device__ __forceinline__ void add_scaled(float4& sum, const float4& x, float scale) {
  sum.x += scale * x.x;
  sum.y += scale * x.y;
  sum.z += scale * x.z;
  sum.w += scale * x.w;
}

// A block a token, four numbers a thread.
__global__ void combine_experts_kernel(const float* y, const int32_t* row_of, const float* weights,
                                       const __nv_bfloat16* x, const float* shared_gate, const float* shared,
                                       int top_k, int h, float* residual) {
  const int64_t token = blockIdx.x;
  float shared_weight = 0;
  if (shared != nullptr) {
    float dot = 0;
    for (int c = static_cast<int>(threadIdx.x); c < h; c += kThreads)
      dot += __bfloat162float(x[token * h + c]) * shared_gate[c];
    shared_weight = 1.0f / (1.0f + expf(-block_sum<kThreads>(dot)));
  }
  const auto* rows = reinterpret_cast<const float4*>(y);
  auto* out = reinterpret_cast<float4*>(residual) + token * (h / 4);
  for (int c = static_cast<int>(threadIdx.x); c < h / 4; c += kThreads) {
    float4 sum = out[c];
    for (int64_t slot = token * top_k; slot < (token + 1) * top_k; ++slot)
      add_scaled(sum, rows[int64_t{row_of[slot]} * (h / 4) + c], weights[slot]);
    if (shared != nullptr)
      add_scaled(sum, reinterpret_cast<const float4*>(shared)[token * (h / 4) + c], shared_weight);
    out[c] = sum;
  }
}

}  // namespace

void route(const float* logits, int n, int n_experts, int top_k, bool renormalise, int32_t* experts,
           float* weights, cudaStream_t stream) {
  if (n > 0)
    launch(route_kernel, dim3(static_cast<unsigned>((n + kWarps - 1) / kWarps)), kThreads, 0, stream, logits,
           n, n_experts, top_k, renormalise, experts, weights);
}

void group_by_expert(const int32_t* experts, int n_slots, int n_experts, int32_t* first_row, int32_t* row_of,
                     cudaStream_t stream) {
  launch(group_by_expert_kernel, dim3(static_cast<unsigned>(n_experts)), kThreads, 0, stream, experts,
         n_slots, n_experts, first_row, row_of);
}

void scatter_to_experts(const __nv_bfloat16* x, const int32_t* row_of, int n_slots, int top_k, int h,
                        __nv_bfloat16* grouped, cudaStream_t stream) {
  if (n_slots > 0)
    launch(scatter_to_experts_kernel, dim3(static_cast<unsigned>(n_slots)), kThreads, 0, stream,
           reinterpret_cast<const uint4*>(x), row_of, top_k, h / 8, reinterpret_cast<uint4*>(grouped));
}

void combine_experts(const float* y, const int32_t* row_of, const float* weights, const __nv_bfloat16* x,
                     const float* shared_gate, const float* shared, int n, int top_k, int h, float* residual,
                     cudaStream_t stream) {
  if (n > 0)
    launch(combine_experts_kernel, dim3(static_cast<unsigned>(n)), kThreads, 0, stream, y, row_of, weights, x,
           shared_gate, shared, top_k, h, residual);
}

}  // namespace lectern::cuda
