// Which columns and diagonals hold the attention of the last queries of a prompt (engine/vertical_slash.h):
// their sums on the tensor cores, and the largest of these.
#include <cmath>

#include "kernels/cuda/attention_scores.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
static_assert(kWarps * 16 == kPrefillRows);
constexpr int kDistances = 2 * kTileRows;  // between a tile's keys and up to kTileRows queries

// Shared memory: queries; keys; weights [kPrefillRows, kWeightStride]; the tile's sums along columns [group,
// kTileRows] and diagonals [group, kDistances]. Heads are padded to kHeadDim.
template <int kHeadDim>
struct Layout {
  static constexpr int kFloat = sizeof(float);
  static constexpr int kKeysAt = kPrefillRows * kHeadDim * 2;
  static constexpr int kWeightsAt = kKeysAt + kTileRows * kHeadDim * 2;
  static constexpr int kSumsAt = kWeightsAt + kPrefillRows * kWeightStride * kFloat;
  static constexpr int bytes(int group) { return kSumsAt + group * (kTileRows + kDistances) * kFloat; }
};

// n keys as halves; bytes without their scales.
template <int kHeadDim>
__device__ void load_keys(const KvLayer& kv, const std::byte* head, int first, int n, std::byte* shared) {
  constexpr int kChunks = kHeadDim / 8;
  const int d = kv.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kChunks; i += kThreads) {
    const int row = i / kChunks, col = i % kChunks * 8, at = (first + row) * d + col;
    uint4 bits = {0, 0, 0, 0};
    if (row < n && col < d) {
      if (kv.k.type == KvType::kF16) {
        bits = *reinterpret_cast<const uint4*>(head + at * 2);
      } else {
        const auto* bytes = reinterpret_cast<const int8_t*>(head) + at;
        uint32_t pairs[4];
        for (int k = 0; k < 4; ++k) pairs[k] = pack_halves(bytes[2 * k], bytes[2 * k + 1]);
        bits = {pairs[0], pairs[1], pairs[2], pairs[3]};
      }
    }
    *reinterpret_cast<uint4*>(shared + chunk_at<kHeadDim>(row, i % kChunks)) = bits;
  }
}

// A warp's weights of its 16 rows: shares of the whole row, 0 for keys that a row does not see.
__device__ void write_weights(const ColumnSumArgs& args, const AttentionTask& task, const float* log_sums,
                              const float* key_scales, int first_key, const Scores& scores, float* weights) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int group = args.attention.n_heads / args.attention.kv.n_kv_heads;
  const float scale = args.attention.scale * kLog2E;
  LECTERN_UNROLL
  for (int upper = 0; upper < 2; ++upper) {
    const int row = 16 * warp + 8 * upper + lane / 4;
    const bool is_row = row < task.n_queries * group;
    const int last_key = is_row ? task.first_position + row / group - first_key : -1;
    const float log_sum = is_row ? log_sums[row] * kLog2E : 0.0f;
    LECTERN_UNROLL
    for (int n = 0; n < kTileRows / 8; ++n)
      for (int j = 0; j < 2; ++j) {
        const int key = 8 * n + lane % 4 * 2 + j;
        float weight = 0;
        if (key <= last_key) {
          const float key_scale = key_scales == nullptr ? scale : scale * key_scales[key];
          weight = exp2_fast(scores[n][2 * upper + j] * key_scale - log_sum);
        }
        weights[row * kWeightStride + key] = weight;
      }
  }
}

// Half a page of keys and a KV head a block. A diagonal meets a query once, so the queries' keys on it are
// as many in a row, in two tiles at most: the order of its two additions makes no difference.
template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) sum_kernel(ColumnSumArgs args) {
  using L = Layout<kHeadDim>;
  const auto first_key = static_cast<int>(blockIdx.x) * kTileRows, kv_head = static_cast<int>(blockIdx.y);
  const AttentionArgs& attention = args.attention;
  const KvLayer& kv = attention.kv;
  const int group = attention.n_heads / kv.n_kv_heads, page = first_key / kPageTokens;
  const int n = min(kTileRows, args.n_keys - first_key);
  std::byte *const queries = dynamic_shared(), *const keys = queries + L::kKeysAt;
  auto* const weights = reinterpret_cast<float*>(queries + L::kWeightsAt);
  auto* const columns = reinterpret_cast<float*>(queries + L::kSumsAt);
  float* const diagonals = columns + group * kTileRows;
  const auto thread = static_cast<int>(threadIdx.x);

  const std::byte* head = head_of(kv, kv.k, attention.pages[attention.tasks[0].page_table + page], kv_head);
  const float* key_scales = nullptr;
  if (kv.k.type == KvType::kInt8)
    key_scales = reinterpret_cast<const float*>(head + kPageTokens * kv.head_dim) + first_key % kPageTokens;
  load_keys<kHeadDim>(kv, head, first_key % kPageTokens, n, keys);
  for (int i = thread; i < group * (kTileRows + kDistances); i += kThreads) columns[i] = 0;
  const int nearest = args.first_position - first_key - (kTileRows - 1);
  for (int t = 0; t < attention.n_tasks; ++t) {
    const AttentionTask task = attention.tasks[t];
    load_queries<kHeadDim, kPrefillRows, kThreads>(attention, task, kv_head, key_chunk(task, page), queries);
    __syncthreads();
    Scores scores;
    multiply_tile<kHeadDim>(queries, {keys}, thread / 32 * 16, scores);
    write_weights(args, task, attention.log_sum_exp + (int64_t{t} * kv.n_kv_heads + kv_head) * kPrefillRows,
                  key_scales, first_key, scores, weights);
    __syncthreads();
    // Each sum has a thread of its own.
    for (int i = thread; i < group * kTileRows; i += kThreads) {
      const float* at = weights + i / kTileRows * kWeightStride + i % kTileRows;
      float sum = 0;
      for (int query = 0; query < task.n_queries; ++query) sum += at[query * group * kWeightStride];
      columns[i] += sum;
    }
    for (int i = thread; i < group * kDistances; i += kThreads) {
      const int g = i / kDistances, distance = nearest + i % kDistances;
      const int key = task.first_position - distance - first_key;  // of the first query
      float sum = 0;
      for (int query = max(0, -key); query < min(task.n_queries, kTileRows - key); ++query)
        sum += weights[(query * group + g) * kWeightStride + key + query];
      diagonals[i] += sum;
    }
    __syncthreads();  // before the queries are overwritten
  }
  for (int i = thread; i < group * kTileRows; i += kThreads)
    if (i % kTileRows < n)
      args.columns[int64_t{kv_head * group + i / kTileRows} * args.n_keys + first_key + i % kTileRows] =
          columns[i];
  for (int i = thread; i < group * kDistances; i += kThreads)
    if (const int distance = nearest + i % kDistances; distance >= 0 && diagonals[i] > 0)
      atomicAdd(&args.diagonals[int64_t{kv_head * group + i / kDistances} * args.n_keys + distance],
                diagonals[i]);
}

template <int kHeadDim>
void launch_sum(const ColumnSumArgs& args, cudaStream_t stream) {
  const int n_kv_heads = args.attention.kv.n_kv_heads, group = args.attention.n_heads / n_kv_heads;
  launch(sum_kernel<kHeadDim>,
         dim3(static_cast<unsigned>((args.n_keys + kTileRows - 1) / kTileRows),
              static_cast<unsigned>(n_kv_heads)),
         kThreads, static_cast<size_t>(Layout<kHeadDim>::bytes(group)), stream, args);
}

// A value's place in the order of size: floats that are not negative compare as their bits, and of equal ones
// the first is the larger.
__device__ uint64_t rank_of(const float* values, int i) {
  return uint64_t{__float_as_uint(values[i])} << 32 | ~static_cast<uint32_t>(i);
}

// A head a block. The smallest rank that is kept is found byte by byte from the top (radix select).
__global__ void largest_kernel(LargestArgs args) {
  __shared__ int counts[256];
  __shared__ int chosen_byte, chosen_left, chosen_count;
  const auto head = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const float* const values = args.values + int64_t{head} * args.n;
  const int budget = min(args.budgets[2 * head], args.n), n_forced = min(args.n_forced, budget);
  int left = budget - n_forced;     // so many are kept of
  int n_equal = args.n - n_forced;  // those whose ranks begin with
  uint64_t prefix = 0;              // these bytes,
  int shift = 64;                   // whose last is followed by so many bits
  while (left > 0 && left < n_equal) {
    shift -= 8;
    __syncthreads();
    counts[thread] = 0;
    __syncthreads();
    for (int i = n_forced + thread; i < args.n; i += kThreads) {
      const uint64_t rank = rank_of(values, i);
      if (shift == 56 || rank >> (shift + 8) == prefix) atomicAdd(&counts[rank >> shift & 255], 1);
    }
    __syncthreads();
    if (thread == 0) {
      int byte = 255, above = 0;
      while (above + counts[byte] < left) above += counts[byte--];
      chosen_byte = byte;
      chosen_left = left - above;
      chosen_count = counts[byte];
    }
    __syncthreads();
    prefix = prefix << 8 | static_cast<uint64_t>(chosen_byte);
    left = chosen_left;
    n_equal = chosen_count;
  }
  uint32_t* const bits = args.bits + int64_t{head / args.group} * args.words;
  for (int begin = thread / 32 * 32; begin < args.n; begin += kThreads) {
    const int i = begin + thread % 32;
    bool kept = i < n_forced;
    if (i >= n_forced && i < args.n && left > 0) kept = shift == 64 || rank_of(values, i) >> shift >= prefix;
    const unsigned word = __ballot_sync(0xffffffffu, kept);
    if (thread % 32 == 0 && word != 0) atomicOr(&bits[begin / 32], word);
  }
}

// Two columns a thread.
__global__ void turn_kernel(const __half* q, int64_t n_pairs, int d, const float* cos_sin, __half* out) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= n_pairs) return;
  const int half = d / 2;
  const auto col = static_cast<int>(i % half);
  const int64_t at = i / half * d + col;
  const float x = __half2float(q[at]), y = __half2float(q[at + half]);
  const float cosine = cos_sin[col], sine = cos_sin[half + col];
  out[at] = __float2half_rn(x * cosine - y * sine);
  out[at + half] = __float2half_rn(y * cosine + x * sine);
}

}  // namespace

void turn_queries(const __half* q, int n, int n_heads, int d, const float* cos_sin, __half* out,
                  cudaStream_t stream) {
  const int64_t n_pairs = int64_t{n} * n_heads * d / 2;
  launch(turn_kernel, dim3(static_cast<unsigned>((n_pairs + kThreads - 1) / kThreads)), kThreads, 0, stream,
         q, n_pairs, d, cos_sin, out);
}

void sum_columns(const ColumnSumArgs& args, cudaStream_t stream) {
  with_padded_head_dim(args.attention.kv.head_dim,
                       [&](auto padded) { launch_sum<decltype(padded)::value>(args, stream); });
}

void keep_largest(const LargestArgs& args, cudaStream_t stream) {
  launch(largest_kernel, dim3(static_cast<unsigned>(args.n_heads)), kThreads, 0, stream, args);
}

}  // namespace lectern::cuda
