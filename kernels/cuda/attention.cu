// Flash attention (arXiv:2307.08691) over paged keys and values, on the tensor cores. A block takes the rows
// of a task (queries times the query heads of one KV head) over its split of the task's pages, tile by tile:
// half a page of keys and of values lies in shared memory while the next half page is being copied
// (cp.async).
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_scores.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {

void attention_any_head_dim(const AttentionArgs& args, cudaStream_t stream);
void combine_splits(const AttentionArgs& args, cudaStream_t stream);

namespace {

// Keys or values of a block in shared memory.
template <typename S>
struct SideTiles {
  std::byte* tiles;
  float* scales;  // [2, kTileRows]
  bool bytes;

  __device__ void copy(const std::byte* head, int page_half, int n_rows, int turn) const {
    if (!S::kBytes || !bytes) {
      copy_halves<S::kHeadDim, S::kThreads>(head + page_half * S::kTileBytes, n_rows,
                                            tiles + turn * S::kTileBytes);
    } else {
      copy_bytes<S::kHeadDim, S::kThreads>(
          head + page_half * (S::kTileBytes / 2),
          head + kPageTokens * S::kHeadDim + page_half * kTileRows * static_cast<int>(sizeof(float)), n_rows,
          staged(turn), scales + turn * kTileRows);
    }
  }
  template <bool kScaled>
  __device__ void widen(int n_rows, int turn) const {
    if (bytes)
      widen_bytes<S::kHeadDim, S::kThreads, kScaled>(staged(turn), scales + turn * kTileRows, n_rows, tiles);
  }
  __device__ const std::byte* halves(int turn) const {
    return S::kBytes && bytes ? tiles : tiles + turn * S::kTileBytes;
  }

 private:
  __device__ std::byte* staged(int turn) const { return tiles + S::kTileBytes + turn * (S::kTileBytes / 2); }
};

// Half a page of keys, or a tile of gathered ones.
struct TileAt {
  int first_key;   // of the sequence; of gathered keys, what the others share a chunk with
  int id;          // of the page
  int half;        // of the page
  int first_slot;  // of gathered keys; else -1
};

// The warps of a block had different keys of the same rows: joins them over shared memory and writes them.
template <typename S>
__device__ void join_and_write(const Rows<S>& rows, std::byte* shared, int n_rows,
                               const AttentionOutput& output) {
  static_assert(S::kRowWarps == 1 && S::kRowTiles == 1);
  constexpr int kStride = S::kHeadDim + 2;
  auto* all = reinterpret_cast<float*>(shared);  // [kKeyWarps, 16, sum, maximum and values]
  static_assert(S::kKeyWarps * 16 * kStride * 4 <= S::kQueryBytes + 4 * S::kTileBytes);
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  __syncthreads();  // the last tile has been read
  LECTERN_UNROLL
  for (int upper = 0; upper < 2; ++upper) {
    float* row = all + (warp * 16 + upper * 8 + lane / 4) * kStride;
    if (lane % 4 == 0) {
      row[0] = rows.sum[0][upper];
      row[1] = rows.maximum[0][upper];
    }
    LECTERN_UNROLL
    for (int n = 0; n < S::kHeadDim / 8; ++n)
      *reinterpret_cast<float2*>(row + 2 + 8 * n + lane % 4 * 2) =
          make_float2(rows.values[0][n][2 * upper], rows.values[0][n][2 * upper + 1]);
  }
  __syncthreads();
  constexpr int kPairs = S::kHeadDim / 2;
  for (int i = static_cast<int>(threadIdx.x); i < n_rows * kPairs; i += S::kThreads) {
    const int r = i / kPairs, col = i % kPairs * 2;
    const float* row = all + r * kStride;
    float maximum = -INFINITY, sum = 0, x = 0, y = 0;
    for (int w = 0; w < S::kKeyWarps; ++w) maximum = fmaxf(maximum, row[w * 16 * kStride + 1]);
    for (int w = 0; w < S::kKeyWarps; ++w) {
      const float* part = row + w * 16 * kStride;
      const float weight = part[0] == 0 ? 0.0f : exp2_fast(part[1] - maximum);
      sum += weight * part[0];
      x += weight * part[2 + col];
      y += weight * part[2 + col + 1];
    }
    output.values(r, col, x, y, sum);
    if (col == 0) output.sums(r, sum, maximum);
  }
}

template <typename S>
__device__ void write(const Rows<S>& rows, int first_row, int n_rows, const AttentionOutput& output) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  LECTERN_UNROLL
  for (int t = 0; t < S::kRowTiles; ++t) {
    LECTERN_UNROLL
    for (int upper = 0; upper < 2; ++upper) {
      const int r = first_row + 16 * t + 8 * upper + lane / 4;
      if (r >= n_rows) continue;
      LECTERN_UNROLL
      for (int n = 0; n < S::kHeadDim / 8; ++n)
        output.values(r, 8 * n + lane % 4 * 2, rows.values[t][n][2 * upper], rows.values[t][n][2 * upper + 1],
                      rows.sum[t][upper]);
      if (lane % 4 == 0) output.sums(r, rows.sum[t][upper], rows.maximum[t][upper]);
    }
  }
}

// Which keys of a gathered tile the task does not read here; two tiles take turns.
__device__ __forceinline__ bool* hidden_keys(int turn) {
  __shared__ bool hidden[2 * kTileRows];
  return hidden + turn * kTileRows;
}

// kGathered: there may be gathered columns.
template <typename S, bool kGathered>
__global__ void __launch_bounds__(S::kThreads, 2) attention_kernel(AttentionArgs args) {
  const auto task_index = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y);
  const auto split = static_cast<int>(blockIdx.z);
  const AttentionTask task = args.tasks[task_index];
  const PageWalk walk(args, task, kv_head, split);
  const int group = args.n_heads / args.kv.n_kv_heads;
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int first_row = warp / S::kKeyWarps * S::kWarpRows, first_key = warp % S::kKeyWarps * S::kWarpKeys;
  const float scale = args.scale * kLog2E;

  std::byte* const queries = dynamic_shared();
  auto* const scales = reinterpret_cast<float*>(queries + S::kScalesAt);
  const SideTiles<S> keys{queries + S::kQueryBytes, scales, args.kv.k.type == KvType::kInt8};
  const SideTiles<S> values{keys.tiles + 2 * S::kTileBytes, scales + 2 * kTileRows,
                            args.kv.v.type == KvType::kInt8};

  Rows<S> rows;
  LECTERN_UNROLL
  for (int t = 0; t < S::kRowTiles; ++t)
    for (int upper = 0; upper < 2; ++upper) {
      rows.maximum[t][upper] = -INFINITY;
      rows.sum[t][upper] = 0;
      LECTERN_UNROLL
      for (int n = 0; n < S::kHeadDim / 8; ++n)
        rows.values[t][n][2 * upper] = rows.values[t][n][2 * upper + 1] = 0;
    }

  // Tile i is half i % 2 of page begin + i / 2; what lies behind the last key is not a tile. Gathered tiles
  // come after these. Tiles take turns in shared memory.
  int n_whole = 2 * (walk.end - walk.begin);
  if (n_whole > 0 && walk.page(walk.end - 1) * kPageTokens + kTileRows >= walk.n_keys) --n_whole;
  const int n_tiles = n_whole + (kGathered ? walk.gathered_end - walk.gathered_begin : 0);
  const auto tile_at = [&](int i) {
    if (i >= n_tiles) return TileAt{0, 0, 0, -1};
    if (kGathered && i >= n_whole) {
      const int tile = walk.tiles[walk.gathered_begin + i - n_whole], slot = tile * kTileRows;
      return TileAt{walk.positions[slot], walk.gathered_page + tile / 2, tile % 2, slot};
    }
    const int page = walk.page(walk.begin + i / 2);
    return TileAt{page * kPageTokens + i % 2 * kTileRows, walk.page_table[page], i % 2, -1};
  };
  const auto copy = [&](const TileAt& tile, int turn) {
    const bool gathered = kGathered && tile.first_slot >= 0;
    const KvLayer& kv = gathered ? args.gathered.kv : args.kv;
    const int n_rows = gathered ? kTileRows : walk.n_keys - tile.first_key;
    keys.copy(head_of(kv, kv.k, tile.id, kv_head), tile.half, n_rows, turn);
    values.copy(head_of(kv, kv.v, tile.id, kv_head), tile.half, n_rows, turn);
    cp_async_commit();
  };

  TileAt tile = tile_at(0), next = tile_at(1);
  int loaded = -1;  // which queries are in shared memory
  if (n_tiles > 0) copy(tile, 0);
  for (int i = 0; i < n_tiles; ++i) {
    const bool gathered = kGathered && tile.first_slot >= 0;
    if (const int slot = static_cast<int>(threadIdx.x); gathered && slot < kTileRows)
      hidden_keys(i % 2)[slot] = !walk.is_visible(task, tile.first_slot + slot);
    cp_async_wait<0>();
    __syncthreads();  // this tile is there, and no warp reads the one before any more
    // The page after the next is looked up now, so that its number is there when its copy begins.
    const TileAt after = tile_at(i + 2);
    if (i + 1 < n_tiles) copy(next, (i + 1) % 2);
    const int chunk = static_cast<int>(key_chunk(task, tile.first_key / kPageTokens));
    const int n_rows = gathered ? kTileRows : walk.n_keys - tile.first_key;
    const bool new_queries = chunk != loaded;
    if (new_queries)
      load_queries<S::kHeadDim, S::kRows, S::kThreads>(args, task, kv_head, static_cast<KeyChunk>(chunk),
                                                       queries);
    loaded = chunk;
    if (S::kBytes) {
      keys.template widen<false>(n_rows, i % 2);
      values.template widen<true>(n_rows, i % 2);
    }
    if (S::kBytes || new_queries) __syncthreads();

    float scores[S::kRowTiles][S::kWarpKeys / 8][4];
    multiply_keys<S>(queries, keys.halves(i % 2), first_row, first_key, scores);
    const int col = first_key + lane % 4 * 2;
    if (S::kBytes && keys.bytes) {
      const float* of_keys = keys.scales + i % 2 * kTileRows + col;
      LECTERN_UNROLL
      for (int n = 0; n < S::kWarpKeys / 8; ++n)
        for (int t = 0; t < S::kRowTiles; ++t)
          for (int j = 0; j < 4; ++j) scores[t][n][j] *= of_keys[8 * n + j % 2];
    }
    if (gathered) {
      const bool* hidden = hidden_keys(i % 2);
      LECTERN_UNROLL
      for (int n = 0; n < S::kWarpKeys / 8; ++n)
        for (int j = 0; j < 2; ++j) {
          if (!hidden[col + 8 * n + j]) continue;
          LECTERN_UNROLL
          for (int t = 0; t < S::kRowTiles; ++t) scores[t][n][j] = scores[t][n][2 + j] = -INFINITY;
        }
    } else if (tile.first_key + kTileRows - 1 > task.first_position) {  // the tile reaches the diagonal
      LECTERN_UNROLL
      for (int t = 0; t < S::kRowTiles; ++t)
        for (int upper = 0; upper < 2; ++upper) {
          const int query = (first_row + 16 * t + 8 * upper + lane / 4) / group;
          const int position = task.first_position + min(query, task.n_queries - 1);
          LECTERN_UNROLL
          for (int n = 0; n < S::kWarpKeys / 8; ++n)
            for (int j = 0; j < 2; ++j)
              if (tile.first_key + col + 8 * n + j > position) scores[t][n][2 * upper + j] = -INFINITY;
        }
    }
    weigh<S>(scale, scores, rows);
    add_values<S>(scores, values.halves(i % 2), first_key, rows);
    tile = next;
    next = after;
  }
  LECTERN_UNROLL
  for (int t = 0; t < S::kRowTiles; ++t)
    for (int upper = 0; upper < 2; ++upper) {
      float& sum = rows.sum[t][upper];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    }
  const AttentionOutput output{args, task, task_index, kv_head, split};
  const int n_rows = task.n_queries * group;
  if constexpr (S::kKeyWarps > 1) {
    join_and_write<S>(rows, queries, n_rows, output);
  } else {
    write<S>(rows, first_row, n_rows, output);
  }
}

template <typename S>
void launch_attention(const AttentionArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.n_tasks), static_cast<unsigned>(args.kv.n_kv_heads),
                  static_cast<unsigned>(args.n_splits));
  if (args.gathered.positions != nullptr) {
    launch(attention_kernel<S, true>, grid, S::kThreads, S::kSharedBytes, stream, args);
  } else {
    launch(attention_kernel<S, false>, grid, S::kThreads, S::kSharedBytes, stream, args);
  }
}

template <int kHeadDim, bool kBytes>
void launch_attention(const AttentionArgs& args, cudaStream_t stream) {
  if (args.rows == kPrefillRows) {
    launch_attention<ManyRows<kHeadDim, kBytes>>(args, stream);
  } else {
    launch_attention<FewRows<kHeadDim, kBytes>>(args, stream);
  }
}

}  // namespace

size_t attention_partial_floats(int n_tasks, int n_kv_heads, int n_splits, int rows, int head_dim) {
  if (n_splits == 1) return 0;
  return static_cast<size_t>(n_tasks) * static_cast<size_t>(n_kv_heads) * static_cast<size_t>(n_splits) *
         static_cast<size_t>(rows) * static_cast<size_t>(head_dim + 2);
}

void attention(const AttentionArgs& args, cudaStream_t stream) {
  if (args.n_tasks == 0) return;
  const bool bytes = args.kv.k.type == KvType::kInt8 || args.kv.v.type == KvType::kInt8;
  if (args.kv.head_dim == 128) {
    bytes ? launch_attention<128, true>(args, stream) : launch_attention<128, false>(args, stream);
  } else if (args.kv.head_dim == 64) {
    bytes ? launch_attention<64, true>(args, stream) : launch_attention<64, false>(args, stream);
  } else {
    attention_any_head_dim(args, stream);
  }
  if (args.n_splits > 1) combine_splits(args, stream);
}

}  // namespace lectern::cuda
