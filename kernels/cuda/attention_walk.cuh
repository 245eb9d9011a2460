// What the attention kernels share: which pages a block reads, and where its results go.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {

// Weights are powers of two: e^x = 2^(x log2 e), and one multiplication covers this and the scale.
inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;
// The weights of a row are 2^(score - its maximum), at most 1, and are rounded to halves: times 2^14 they use
// the whole range of these, and a key is lost only where its weight is below 2^-38 of the greatest. Sums
// carry the factor too, so it falls out of the results.
inline constexpr float kWeightBits = 14;

__device__ inline bool has_bit(const uint32_t* bits, int i) {
  return (bits[i / 32] >> i % 32 & 1) != 0;
}

// Of a gathered key, `whole` as in GatheredColumns: the pages that the task reads whole may hold it as well.
__device__ inline bool is_read_alone(int position, const AttentionTask& task, const uint32_t* whole) {
  const int page = position / kPageTokens;
  return position >= 0 && page < task.first_position / kPageTokens && !has_bit(whole, page);
}

// The positions of a sequence's gathered keys, [max_tiles, kColumnTile], and the first page of their copies.
__device__ inline int32_t* gathered_positions(const GatheredColumns& gathered, int part, int n_kv_heads,
                                              int kv_head) {
  return gathered.positions + (int64_t{part} * n_kv_heads + kv_head) * gathered.max_tiles * kColumnTile;
}
__device__ inline int first_gathered_page(const GatheredColumns& gathered, int part) {
  return part * (gathered.max_tiles / 2);
}

// Of a warp: lists the pages before `end` that are read, ascending. Returns how many.
template <typename IsRead>
__device__ int list_pages(int end, const IsRead& is_read, int32_t* list) {
  const auto lane = static_cast<int>(threadIdx.x % 32);
  int n = 0;
  for (int i = 0; i < end; i += 32) {
    const int page = i + lane;
    const bool chosen = page < end && is_read(page);
    const unsigned all_chosen = __ballot_sync(0xffffffffu, chosen);
    if (chosen) list[n + __popc(all_chosen & ((1u << lane) - 1))] = page;
    n += __popc(all_chosen);
  }
  return n;
}

// The pages that one split of a task reads, [begin, end) of the task's list or of all of its pages.
struct PageWalk {
  const int32_t* list;        // null: all pages
  const int32_t* page_table;  // of the sequence
  int begin, end;
  int n_keys;  // of the sequence that the task may see: the last query's position + 1
  // The same of gathered tiles: the task's list of them; the positions [tiles, kColumnTile] and the first
  // page of all tiles of the sequence, and a bit for each of its pages that is read whole.
  int gathered_begin = 0, gathered_end = 0, gathered_page = 0;
  const int32_t *tiles = nullptr, *positions = nullptr;
  const uint32_t* whole = nullptr;

  __device__ PageWalk(const AttentionArgs& args, const AttentionTask& task, int kv_head, int split)
      : list(nullptr),
        page_table(args.pages + task.page_table),
        n_keys(task.first_position + task.n_queries) {
    int n = (n_keys - 1) / kPageTokens + 1;
    if (task.sparse >= 0) {
      const int64_t at = int64_t{task.sparse} * args.kv.n_kv_heads + kv_head;
      if (args.sparse.n[at] >= 0) {
        n = args.sparse.n[at];
        list = args.sparse.lists + at * args.sparse.max_pages;
        walk_gathered(args, task, kv_head, split, at);
      }
    }
    begin = static_cast<int>(int64_t{n} * split / args.n_splits);
    end = static_cast<int>(int64_t{n} * (split + 1) / args.n_splits);
  }
  // The page's place in the sequence.
  __device__ int page(int i) const { return list != nullptr ? list[i] : i; }
  // Whether the task reads a gathered key here.
  __device__ bool is_visible(const AttentionTask& task, int slot) const {
    return is_read_alone(positions[slot], task, whole);
  }

 private:
  __device__ void walk_gathered(const AttentionArgs& args, const AttentionTask& task, int kv_head, int split,
                                int64_t at) {
    const GatheredColumns& gathered = args.gathered;
    if (gathered.positions == nullptr) return;
    const int n = gathered.n_tiles[at];
    gathered_begin = static_cast<int>(int64_t{n} * split / args.n_splits);
    gathered_end = static_cast<int>(int64_t{n} * (split + 1) / args.n_splits);
    gathered_page = first_gathered_page(gathered, task.part);
    tiles = gathered.tiles + at * gathered.max_tiles;
    positions = gathered_positions(gathered, task.part, args.kv.n_kv_heads, kv_head);
    whole = gathered.whole + at * gathered.words;
  }
};

// Which of the rotated queries a page of keys is read with (Dual Chunk Attention).
__device__ inline KeyChunk key_chunk(const AttentionTask& task, int page) {
  return page >= task.intra_page  ? KeyChunk::kIntra
         : page >= task.succ_page ? KeyChunk::kSucc
                                  : KeyChunk::kInter;
}

__device__ inline const std::byte* head_of(const KvLayer& kv, const KvSide& side, int64_t page_id,
                                           int kv_head) {
  return kv.pages + static_cast<size_t>(page_id) * kv.page_bytes + side.offset +
         static_cast<size_t>(kv_head) * side.head_bytes;
}

// Of a row of a block: its query's row in q and out, and its query head.
struct QueryRow {
  int64_t row;
  int head;
  __device__ QueryRow(const AttentionTask& task, int group, int kv_head, int r)
      : row(int64_t{task.row} + r / group), head(kv_head * group + r % group) {}
  __device__ int64_t at(int n_heads, int head_dim) const { return (row * n_heads + head) * head_dim; }
};

// A row's result: the sum of its weights relative to its maximum (a power of two), both with kWeightBits in
// the sum, and log(sum(exp(score))) out of them.
__device__ inline float log_sum_exp_of(float sum, float maximum) {
  return sum == 0 ? -INFINITY : (maximum + log2f(sum) - kWeightBits) * kLn2;
}

// The results of one block: the final ones, or its share of a task's.
struct AttentionOutput {
  const AttentionArgs& args;
  const AttentionTask& task;
  int task_index, kv_head, split;

  __device__ int group() const { return args.n_heads / args.kv.n_kv_heads; }
  __device__ int64_t rows_before(int copies) const {
    return ((int64_t{task_index} * args.kv.n_kv_heads + kv_head) * copies + split) * args.rows;
  }
  __device__ float* partial(int r) const {
    return args.partial + (rows_before(args.n_splits) + r) * (args.kv.head_dim + 2);
  }
  // Columns col and col + 1 (col is even) of row r: the sums of the weighted values.
  __device__ void values(int r, int col, float x, float y, float sum) const {
    if (args.n_splits > 1) {
      *reinterpret_cast<float2*>(partial(r) + 2 + col) = make_float2(x, y);
    } else {
      finish(r, col, x, y, sum);
    }
  }
  __device__ void sums(int r, float sum, float maximum) const {
    if (args.n_splits > 1) {
      *reinterpret_cast<float2*>(partial(r)) = make_float2(sum, maximum);
    } else {
      finish_sums(r, sum, maximum);
    }
  }
  __device__ void finish(int r, int col, float x, float y, float sum) const {
    if (args.out == nullptr) return;
    const float share = sum == 0 ? 0.0f : 1.0f / sum;  // no key at all: zeros; a NaN stays one
    __nv_bfloat16* out =
        args.out + QueryRow(task, group(), kv_head, r).at(args.n_heads, args.kv.head_dim) + col;
    *reinterpret_cast<__nv_bfloat162*>(out) = __floats2bfloat162_rn(x * share, y * share);
  }
  __device__ void finish_sums(int r, float sum, float maximum) const {
    if (args.log_sum_exp == nullptr) return;
    args.log_sum_exp[(int64_t{task_index} * args.kv.n_kv_heads + kv_head) * args.rows + r] =
        log_sum_exp_of(sum, maximum);
  }
};

}  // namespace lectern::cuda
