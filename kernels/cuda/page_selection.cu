// Which pages of keys the queries of a long prompt read: the rule of engine/page_selection.h on the tensor
// cores. Scores of pages are not kept, there are too many of them, but computed twice: once for each row's
// softmax, once for the pages' masses.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/attention_scores.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {
namespace {

constexpr int kSinkPages = 1, kLocalPages = 4;  // as in engine/page_selection.h

constexpr int kThreads = 256, kWarps = kThreads / 32;
static_assert(kWarps * 16 == kPrefillRows);

// Shared memory: queries; the pages' means, as halves and as what these leave over, which together hold 22
// bits of them (in their place, later: weights [kPrefillRows, kWeightStride]); masses. Heads are padded to
// kHeadDim.
template <int kHeadDim>
struct Layout {
  static constexpr int kQueryBytes = kPrefillRows * kHeadDim * 2, kTileBytes = kTileRows * kHeadDim * 2;
  static constexpr int kMassesAt =
      kQueryBytes + std::max(2 * kTileBytes, kPrefillRows* kWeightStride* static_cast<int>(sizeof(float)));
};

// A thread's share of a tile of means on its way from global memory to shared.
template <int kHeadDim>
struct MeansTile {
  static constexpr int kChunks = kHeadDim / 8, kShare = kTileRows * kChunks / kThreads;
  float4 values[kShare][2];

  // Rows of `stride` floats, d of them used; rows from n on and columns from d on are zeros.
  __device__ __forceinline__ void load(const float* means, int64_t stride, int n, int d) {
    LECTERN_UNROLL
    for (int k = 0; k < kShare; ++k) {
      const int i = static_cast<int>(threadIdx.x) + k * kThreads, row = i / kChunks, col = i % kChunks * 8;
      values[k][0] = values[k][1] = make_float4(0, 0, 0, 0);
      if (row < n && col < d) {
        const auto* from = reinterpret_cast<const float4*>(means + row * stride + col);
        values[k][0] = from[0];
        values[k][1] = from[1];
      }
    }
  }
  __device__ __forceinline__ void store(std::byte* high, std::byte* low) const {
    LECTERN_UNROLL
    for (int k = 0; k < kShare; ++k) {
      const int i = static_cast<int>(threadIdx.x) + k * kThreads;
      const auto &a = values[k][0], &b = values[k][1];
      const int at = chunk_at<kHeadDim>(i / kChunks, i % kChunks);
      *reinterpret_cast<uint4*>(high + at) =
          uint4{pack_halves(a.x, a.y), pack_halves(a.z, a.w), pack_halves(b.x, b.y), pack_halves(b.z, b.w)};
      *reinterpret_cast<uint4*>(low + at) =
          uint4{pack_halves(rest(a.x), rest(a.y)), pack_halves(rest(a.z), rest(a.w)),
                pack_halves(rest(b.x), rest(b.y)), pack_halves(rest(b.z), rest(b.w))};
    }
  }

 private:
  static __device__ __forceinline__ float rest(float x) { return x - __half2float(__float2half_rn(x)); }
};

// Calls use(page, n, scores) for the n pages from `page` on, tile by tile, with scores in powers of two and
// -inf from n on. A tile is of one kind of chunk. Shared memory but the queries is free in use() after a
// barrier.
template <int kHeadDim, typename Use>
__device__ void for_each_tile(const SelectArgs& args, const AttentionTask& task, int kv_head, int first,
                              int last, std::byte* shared, const Use& use) {
  const KvLayer& kv = args.attention.kv;
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  std::byte* const high = shared + Layout<kHeadDim>::kQueryBytes;
  std::byte* const low = high + Layout<kHeadDim>::kTileBytes;
  const float scale = args.attention.scale * kLog2E;
  const int64_t stride = int64_t{kv.n_kv_heads} * kv.head_dim;
  const auto size_of_tile = [&](int page) {
    const KeyChunk chunk = key_chunk(task, page);
    const int end = chunk == KeyChunk::kInter  ? task.succ_page
                    : chunk == KeyChunk::kSucc ? task.intra_page
                                               : last;
    return min(min(end, last) - page, kTileRows);
  };
  MeansTile<kHeadDim> means;
  const auto load = [&](int page, int n) {
    means.load(args.means + page * stride + int64_t{kv_head} * kv.head_dim, stride, n, kv.head_dim);
  };
  int loaded = -1;  // which queries are in shared memory
  int n = first < last ? size_of_tile(first) : 0;
  load(first, n);
  for (int page = first; page < last;) {
    const auto chunk = static_cast<int>(key_chunk(task, page));
    __syncthreads();  // what the tile before lay in is free
    if (chunk != loaded)
      load_queries<kHeadDim, kPrefillRows, kThreads>(args.attention, task, kv_head,
                                                     static_cast<KeyChunk>(chunk), shared);
    loaded = chunk;
    means.store(high, low);
    const int next = page + n, n_next = next < last ? size_of_tile(next) : 0;
    load(next, n_next);  // on their way while this tile is multiplied
    __syncthreads();
    Scores scores;
    multiply_tile<kHeadDim>(shared, {high, low}, 16 * warp, scores);
    LECTERN_UNROLL
    for (int k = 0; k < kTileRows / 8; ++k)
      for (int i = 0; i < 4; ++i)
        scores[k][i] = 8 * k + lane % 4 * 2 + i % 2 < n ? scores[k][i] * scale : -INFINITY;
    use(page, n, scores);
    page = next;
    n = n_next;
  }
}

// The greatest over the block, for every thread.
__device__ float block_max(float x) {
  __shared__ float maxima[kWarps];
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) maxima[threadIdx.x / 32] = x;
  __syncthreads();
  for (int i = 0; i < kWarps; ++i) x = fmaxf(x, maxima[i]);
  return x;
}

// One task and KV head a block. `most_masses`: so many floats there are for masses; heads of the group that
// do not fit are taken later.
template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) select_kernel(SelectArgs args, int most_masses) {
  const auto kv_head = static_cast<int>(blockIdx.y);
  const AttentionTask task = args.attention.tasks[blockIdx.x];
  if (task.sparse < 0) return;
  const KvLayer& kv = args.attention.kv;
  const int group = args.attention.n_heads / kv.n_kv_heads;
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int begin = task.first_position / kPageTokens;
  const int end = (task.first_position + task.n_queries - 1) / kPageTokens + 1;
  const int first = min(kSinkPages, begin), last = max(begin - kLocalPages + 1, first),
            n_pages = last - first;
  std::byte* const shared = dynamic_shared();
  auto* const weights = reinterpret_cast<float*>(shared + Layout<kHeadDim>::kQueryBytes);
  auto* const masses = reinterpret_cast<float*>(shared + Layout<kHeadDim>::kMassesAt);
  auto* const read = reinterpret_cast<uint32_t*>(masses + most_masses);  // a bit a page from `first` on
  for (int i = static_cast<int>(threadIdx.x); i * 32 < n_pages; i += kThreads) read[i] = 0;

  float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  for_each_tile<kHeadDim>(args, task, kv_head, first, last, shared, [&](int, int, const Scores& scores) {
    LECTERN_UNROLL
    for (int upper = 0; upper < 2; ++upper) {
      float top = maximum[upper];
      for (int k = 0; k < kTileRows / 8; ++k)
        top = fmaxf(top, fmaxf(scores[k][2 * upper], scores[k][2 * upper + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      sum[upper] *= exp2_fast(maximum[upper] - top);
      maximum[upper] = top;
      for (int k = 0; k < kTileRows / 8; ++k)
        sum[upper] += exp2_fast(scores[k][2 * upper] - top) + exp2_fast(scores[k][2 * upper + 1] - top);
    }
  });
  float log_sum[2];
  LECTERN_UNROLL
  for (int upper = 0; upper < 2; ++upper) {
    sum[upper] += __shfl_xor_sync(0xffffffffu, sum[upper], 1);
    sum[upper] += __shfl_xor_sync(0xffffffffu, sum[upper], 2);
    log_sum[upper] = maximum[upper] + log2f(sum[upper]);
  }

  const int heads_at_once = n_pages == 0 ? group : min(group, most_masses / n_pages);
  for (int head = 0; head < group && n_pages > 0; head += heads_at_once) {
    const int n_heads = min(heads_at_once, group - head);
    for_each_tile<kHeadDim>(
        args, task, kv_head, first, last, shared, [&](int page, int n, const Scores& scores) {
          __syncthreads();  // the means have been read
          LECTERN_UNROLL
          for (int upper = 0; upper < 2; ++upper)
            for (int k = 0; k < kTileRows / 8; ++k)
              *reinterpret_cast<float2*>(weights + (16 * warp + 8 * upper + lane / 4) * kWeightStride +
                                         8 * k + lane % 4 * 2) =
                  make_float2(exp2_fast(scores[k][2 * upper] - log_sum[upper]),
                              exp2_fast(scores[k][2 * upper + 1] - log_sum[upper]));
          __syncthreads();
          for (int i = static_cast<int>(threadIdx.x); i < n_heads * kTileRows; i += kThreads) {
            const int of_head = i / kTileRows, of_page = i % kTileRows;
            if (of_page >= n) continue;
            float mass = 0;
            for (int query = 0; query < task.n_queries; ++query)
              mass += weights[(query * group + head + of_head) * kWeightStride + of_page];
            masses[of_head * n_pages + page - first + of_page] = mass;
          }
        });
    __syncthreads();
    for (int h = 0; h < n_heads; ++h) {
      const float* of_head = masses + h * n_pages;
      float top = 0;
      for (int i = static_cast<int>(threadIdx.x); i < n_pages; i += kThreads) top = fmaxf(top, of_head[i]);
      const float least = args.threshold * block_max(top);
      for (int i = 32 * warp; i < n_pages; i += kThreads) {
        const unsigned chosen = __ballot_sync(0xffffffffu, i + lane < n_pages && of_head[i + lane] >= least);
        if (lane == 0) read[i / 32] |= chosen;
      }
    }
  }
  __syncthreads();

  if (warp != 0) return;
  const PageLists& lists = args.attention.sparse;
  const int64_t at = int64_t{task.sparse} * kv.n_kv_heads + kv_head;
  const auto is_read = [&](int page) { return page < first || page >= last || has_bit(read, page - first); };
  const int n = list_pages(end, is_read, lists.lists + at * lists.max_pages);
  if (lane == 0) lists.n[at] = n;
}

// A KV head of a page a block. A thread takes two columns of every (threads / columns)th key.
__global__ void means_kernel(KvLayer kv, const int32_t* pages, float* means) {
  __shared__ float2 parts[kThreads];
  const auto kv_head = static_cast<int>(blockIdx.y);
  const int d = kv.head_dim, pairs = d / 2, n_parts = kThreads / pairs;
  const int col = static_cast<int>(threadIdx.x) % pairs * 2, part = static_cast<int>(threadIdx.x) / pairs;
  const std::byte* head = head_of(kv, kv.k, pages[blockIdx.x], kv_head);
  float2 sum = make_float2(0, 0);
  for (int key = part; key < kPageTokens && part < n_parts; key += n_parts) {
    if (kv.k.type == KvType::kF16) {
      const float2 x = __half22float2(*reinterpret_cast<const __half2*>(head + (key * d + col) * 2));
      sum = make_float2(sum.x + x.x, sum.y + x.y);
    } else {
      const auto* bytes = reinterpret_cast<const int8_t*>(head) + key * d + col;
      const float scale = reinterpret_cast<const float*>(head + kPageTokens * d)[key];
      sum = make_float2(sum.x + scale * static_cast<float>(bytes[0]),
                        sum.y + scale * static_cast<float>(bytes[1]));
    }
  }
  parts[threadIdx.x] = sum;
  __syncthreads();
  if (part > 0) return;
  for (int p = 1; p < n_parts; ++p) {
    const float2 other = parts[p * pairs + col / 2];
    sum = make_float2(sum.x + other.x, sum.y + other.y);
  }
  float* out = means + (int64_t{blockIdx.x} * kv.n_kv_heads + kv_head) * d + col;
  *reinterpret_cast<float2*>(out) = make_float2(sum.x / kPageTokens, sum.y / kPageTokens);
}

__global__ void fall_back_kernel(const float* few, const float* all, int n_kv_heads, int rows, int group,
                                 float least_recall, int first_list, int n_lists, PageLists lists,
                                 float* recall) {
  const auto kv_head = static_cast<int>(blockIdx.x);
  float kept = 0;
  for (int r = 0; r < group; ++r) kept += expf(few[kv_head * rows + r] - all[kv_head * rows + r]);
  kept /= static_cast<float>(group);
  if (threadIdx.x == 0) recall[kv_head] = kept;
  if (kept >= least_recall) return;  // a NaN is not
  for (int i = static_cast<int>(threadIdx.x); i < n_lists; i += kThreads)
    lists.n[int64_t{first_list + i} * n_kv_heads + kv_head] = -1;
}

int most_shared_bytes() {
  static const int bytes = [] {
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return value;
  }();
  return bytes;
}

template <int kHeadDim>
void launch_select(const SelectArgs& args, cudaStream_t stream) {
  const AttentionArgs& attention = args.attention;
  const int group = attention.n_heads / attention.kv.n_kv_heads, max_pages = attention.sparse.max_pages;
  constexpr int kFloat = sizeof(float);
  constexpr int kReadBytes = 4096, kBefore = Layout<kHeadDim>::kMassesAt + kReadBytes;  // up to 32,768 pages
  // One head's masses at least: those of 8,192 pages fit on every device, where head_dim is at most 128.
  const int room = (most_shared_bytes() - kBefore - 1024) / kFloat;
  const int most_masses = static_cast<int>(
      std::max<int64_t>(std::min<int64_t>(int64_t{group} * max_pages, room), std::max(max_pages, 1)));
  launch(select_kernel<kHeadDim>,
         dim3(static_cast<unsigned>(attention.n_tasks), static_cast<unsigned>(attention.kv.n_kv_heads)),
         kThreads, static_cast<size_t>(kBefore + most_masses * kFloat), stream, args, most_masses);
}

}  // namespace

void page_means(const KvLayer& kv, const int32_t* pages, int n_pages, float* means, cudaStream_t stream) {
  if (n_pages <= 0) return;
  launch(means_kernel, dim3(static_cast<unsigned>(n_pages), static_cast<unsigned>(kv.n_kv_heads)), kThreads,
         0, stream, kv, pages, means);
}

void select_pages(const SelectArgs& args, cudaStream_t stream) {
  if (args.attention.n_tasks == 0) return;
  with_padded_head_dim(args.attention.kv.head_dim,
                       [&](auto padded) { launch_select<decltype(padded)::value>(args, stream); });
}

void fall_back(const float* few, const float* all, int n_kv_heads, int rows, int group, float least_recall,
               int first_list, int n_lists, const PageLists& lists, float* recall, cudaStream_t stream) {
  launch(fall_back_kernel, dim3(static_cast<unsigned>(n_kv_heads)), kThreads, 0, stream, few, all, n_kv_heads,
         rows, group, least_recall, first_list, n_lists, lists, recall);
}

}  // namespace lectern::cuda
