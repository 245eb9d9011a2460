// The queries of a task, and their scores against a tile of keys, for every head_dim: columns are padded with
// zeros to kHeadDim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {

// Calls run(std::integral_constant<int, kHeadDim>()) with the size that heads are padded to.
template <typename Run>
void with_padded_head_dim(int head_dim, const Run& run) {
  if (head_dim <= 64) {
    run(std::integral_constant<int, 64>());
  } else if (head_dim <= 128) {
    run(std::integral_constant<int, 128>());
  } else {
    run(std::integral_constant<int, 256>());
  }
}

// Rows without a query are zeros.
template <int kHeadDim, int kRows, int kThreads>
__device__ __forceinline__ void load_queries(const AttentionArgs& args, const AttentionTask& task,
                                             int kv_head, KeyChunk chunk, std::byte* shared) {
  constexpr int kChunks = kHeadDim / 8;
  const int group = args.n_heads / args.kv.n_kv_heads, d = args.kv.head_dim;
  const __half* q = args.q[static_cast<int>(chunk)];
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kChunks; i += kThreads) {
    const int r = i / kChunks, col = i % kChunks * 8;
    uint4 bits = {0, 0, 0, 0};
    if (r < task.n_queries * group && col < d)
      bits = *reinterpret_cast<const uint4*>(q + QueryRow(task, group, kv_head, r).at(args.n_heads, d) + col);
    *reinterpret_cast<uint4*>(shared + chunk_at<kHeadDim>(r, i % kChunks)) = bits;
  }
}

// scores[16 rows, 64 keys] of a warp, spread as mma spreads its sums.
using Scores = float[kTileRows / 8][4];
// Floats of a row of scores in shared memory: rows of a warp lie in different banks.
inline constexpr int kWeightStride = kTileRows + 8;

// Of the 16 rows from `row` on. Keys are the sum of the parts.
template <int kHeadDim, int kParts>
__device__ void multiply_tile(const std::byte* q, const std::byte* const (&parts)[kParts], int row,
                              Scores& scores) {
  LECTERN_UNROLL
  for (int n = 0; n < kTileRows / 8; ++n)
    for (int i = 0; i < 4; ++i) scores[n][i] = 0;
  LECTERN_UNROLL
  for (int col = 0; col < kHeadDim; col += 16) {
    uint32_t a[4];
    ldmatrix_x4(a, row_major_16x16<kHeadDim>(q, row, col));
    LECTERN_UNROLL
    for (int n = 0; n < kTileRows / 16; ++n)
      for (const std::byte* part : parts) {
        uint32_t r[4];
        ldmatrix_x4(r, col_major_16x16<kHeadDim>(part, 16 * n, col));
        const uint32_t b[2][2] = {{r[0], r[1]}, {r[2], r[3]}};
        mma_m16n8k16(scores[2 * n], a, b[0]);
        mma_m16n8k16(scores[2 * n + 1], a, b[1]);
      }
  }
}

}  // namespace lectern::cuda
