// Attention for head sizes that no Qwen2 has: right, not fast. And the sum of the splits, for every head
// size.
#include <cmath>

#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {

void attention_any_head_dim(const AttentionArgs& args, cudaStream_t stream);
void combine_splits(const AttentionArgs& args, cudaStream_t stream);

namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kPairs = 4;  // of columns that a lane holds: head_dim is at most 256

// Columns col and col + 1 of a page's key or value.
__device__ float2 load_pair(const KvLayer& kv, const KvSide& side, int page_id, int kv_head, int slot,
                            int col) {
  const std::byte* head = head_of(kv, side, page_id, kv_head);
  const int at = slot * kv.head_dim + col;
  if (side.type == KvType::kF16) return __half22float2(*reinterpret_cast<const __half2*>(head + at * 2));
  const auto* bytes = reinterpret_cast<const int8_t*>(head) + at;
  const float scale = reinterpret_cast<const float*>(head + kPageTokens * kv.head_dim)[slot];
  return make_float2(scale * static_cast<float>(bytes[0]), scale * static_cast<float>(bytes[1]));
}

// Of the split's i-th gathered key, among all of the sequence.
__device__ int gathered_slot(const PageWalk& walk, int i) {
  return walk.tiles[walk.gathered_begin + i / kColumnTile] * kColumnTile + i % kColumnTile;
}

// A warp takes a row at a time, and 32 keys at a time: first a lane a key, then a lane some columns.
__global__ void attention_any_kernel(AttentionArgs args) {
  __shared__ float all_weights[kWarps][32];
  const auto task_index = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y);
  const auto split = static_cast<int>(blockIdx.z);
  const AttentionTask task = args.tasks[task_index];
  const PageWalk walk(args, task, kv_head, split);
  const AttentionOutput output{args, task, task_index, kv_head, split};
  const int group = output.group(), d = args.kv.head_dim;
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  float* const weights = all_weights[warp];
  for (int r = warp; r < task.n_queries * group; r += kWarps) {
    const int64_t q_at = QueryRow(task, group, kv_head, r).at(args.n_heads, d);
    const int position = task.first_position + r / group;
    float2 sums[kPairs] = {};
    float maximum = -INFINITY, sum = 0;
    const int n_whole = (walk.end - walk.begin) * kPageTokens;
    const int n_slots = n_whole + (walk.gathered_end - walk.gathered_begin) * kColumnTile;
    for (int i = 0; i < n_slots; i += 32) {
      const bool gathered = i >= n_whole;
      // 32 keys: where they begin in their page, or in the gathered tiles.
      const int first = gathered ? gathered_slot(walk, i - n_whole) : i % kPageTokens;
      const int page = gathered ? walk.positions[first / kColumnTile * kColumnTile] / kPageTokens
                                : walk.page(walk.begin + i / kPageTokens);
      const int id = gathered ? walk.gathered_page + first / kPageTokens : walk.page_table[page];
      const int slot = first % kPageTokens;
      const int n = gathered ? 32 : min(32, position + 1 - page * kPageTokens - slot);
      if (n <= 0) continue;
      const KvLayer& kv = gathered ? args.gathered.kv : args.kv;
      const __half* q = args.q[static_cast<int>(key_chunk(task, page))] + q_at;
      float score = -INFINITY;
      if (lane < n && (!gathered || walk.is_visible(task, first + lane))) {
        score = 0;
        for (int col = 0; col < d; col += 2) {
          const float2 k = load_pair(kv, kv.k, id, kv_head, slot + lane, col);
          score += __half2float(q[col]) * k.x + __half2float(q[col + 1]) * k.y;
        }
        score *= args.scale * kLog2E;
      }
      const float top = fmaxf(maximum, warp_max(score));
      const float base = top == -INFINITY ? 0.0f : top;  // scores of NaN only, which stay NaN
      const float shrink = exp2f(maximum - base), weight = exp2f(score - base + kWeightBits);
      maximum = top;
      sum = sum * shrink + warp_sum(weight);
      weights[lane] = weight;
      __syncwarp();
      for (int p = 0; p < kPairs; ++p) {
        const int col = 2 * lane + 64 * p;
        if (col >= d) break;
        float2 total = make_float2(sums[p].x * shrink, sums[p].y * shrink);
        for (int k = 0; k < n; ++k) {
          const float2 v = load_pair(kv, kv.v, id, kv_head, slot + k, col);
          total = make_float2(total.x + weights[k] * v.x, total.y + weights[k] * v.y);
        }
        sums[p] = total;
      }
      __syncwarp();  // before the weights are overwritten
    }
    for (int p = 0; p < kPairs; ++p)
      if (const int col = 2 * lane + 64 * p; col < d) output.values(r, col, sums[p].x, sums[p].y, sum);
    if (lane == 0) output.sums(r, sum, maximum);
  }
}

// A warp takes a row. Splits that had no key for it have the sum 0.
__global__ void combine_kernel(AttentionArgs args) {
  const auto task_index = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y);
  const AttentionTask task = args.tasks[task_index];
  const AttentionOutput output{args, task, task_index, kv_head, 0};
  const int r = static_cast<int>(blockIdx.z * kWarps + threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32), d = args.kv.head_dim;
  if (r >= task.n_queries * output.group()) return;
  const float* part = output.partial(r);
  const int64_t stride = int64_t{args.rows} * (d + 2);  // from split to split
  float maximum = -INFINITY;
  for (int s = lane; s < args.n_splits; s += 32) maximum = fmaxf(maximum, part[s * stride + 1]);
  maximum = warp_max(maximum);
  float sum = 0;
  float2 sums[kPairs] = {};
  for (int s = 0; s < args.n_splits; ++s, part += stride) {
    const float weight = part[0] == 0 ? 0.0f : exp2f(part[1] - maximum);
    sum += weight * part[0];
    for (int p = 0; p < kPairs; ++p) {
      const int col = 2 * lane + 64 * p;
      if (col >= d) break;
      const float2 values = *reinterpret_cast<const float2*>(part + 2 + col);
      sums[p] = make_float2(sums[p].x + weight * values.x, sums[p].y + weight * values.y);
    }
  }
  for (int p = 0; p < kPairs; ++p)
    if (const int col = 2 * lane + 64 * p; col < d) output.finish(r, col, sums[p].x, sums[p].y, sum);
  if (lane == 0) output.finish_sums(r, sum, maximum);
}

}  // namespace

void attention_any_head_dim(const AttentionArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.n_tasks), static_cast<unsigned>(args.kv.n_kv_heads),
                  static_cast<unsigned>(args.n_splits));
  launch(attention_any_kernel, grid, kThreads, 0, stream, args);
}

void combine_splits(const AttentionArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.n_tasks), static_cast<unsigned>(args.kv.n_kv_heads),
                  static_cast<unsigned>((args.rows + kWarps - 1) / kWarps));
  launch(combine_kernel, grid, kThreads, 0, stream, args);
}

}  // namespace lectern::cuda
