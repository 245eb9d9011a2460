// What a warp does with its rows: scores, weights, sums of values.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {

// kRowWarps warps share out the rows, each kRowTiles times 16 of them; kKeyWarps share out the keys of a
// tile. Many rows: each matrix of keys that a warp loads from shared memory meets two row tiles, since
// reading it, not multiplying, would be the limit with one. Few rows: what counts is that many loads are
// under way. kBytes: keys or values may be bytes; else both are halves.
template <int kHeadDim_, int kRowWarps_, int kKeyWarps_, int kRowTiles_, bool kBytes_>
struct Shape {
  static constexpr int kHeadDim = kHeadDim_, kRowWarps = kRowWarps_, kKeyWarps = kKeyWarps_,
                       kRowTiles = kRowTiles_;
  static constexpr bool kBytes = kBytes_;
  static constexpr int kThreads = 32 * kRowWarps * kKeyWarps;
  static constexpr int kWarpRows = 16 * kRowTiles, kRows = kRowWarps * kWarpRows;
  static constexpr int kWarpKeys = kTileRows / kKeyWarps;

  // Shared memory: queries; keys and values, of each two tiles of halves that take turns (of bytes: one tile
  // of halves, and two of bytes in the place of the other); two tiles' scales of keys and of values.
  static constexpr int kTileBytes = kTileRows * kHeadDim * 2;
  static constexpr int kQueryBytes = kRows * kHeadDim * 2;
  static constexpr int kScalesAt = kQueryBytes + 4 * kTileBytes;
  static constexpr int kSharedBytes =
      kScalesAt + (kBytes ? 4 * kTileRows * static_cast<int>(sizeof(float)) : 0);
};
template <int kHeadDim, bool kBytes>
using ManyRows = Shape<kHeadDim, 4, 1, 2, kBytes>;
template <int kHeadDim, bool kBytes>
using FewRows = Shape<kHeadDim, 1, 4, 1, kBytes>;

// What a warp keeps of its rows. As mma spreads them, a lane holds rows lane/4 (upper = 0) and lane/4 + 8
// (upper = 1) of each row tile, and of these two columns of every eight.
template <typename S>
struct Rows {
  float values[S::kRowTiles][S::kHeadDim / 8][4];
  float maximum[S::kRowTiles][2];  // of the scores, in powers of two
  float sum[S::kRowTiles][2];      // of the weights of this lane's columns
};

// scores[rows, keys] = q . k
template <typename S>
__device__ __forceinline__ void multiply_keys(const std::byte* q, const std::byte* k, int row, int key,
                                              float (&scores)[S::kRowTiles][S::kWarpKeys / 8][4]) {
  LECTERN_UNROLL
  for (int t = 0; t < S::kRowTiles; ++t)
    for (int n = 0; n < S::kWarpKeys / 8; ++n)
      for (int i = 0; i < 4; ++i) scores[t][n][i] = 0;
  LECTERN_UNROLL
  for (int col = 0; col < S::kHeadDim; col += 16) {
    uint32_t a[S::kRowTiles][4];
    LECTERN_UNROLL
    for (int t = 0; t < S::kRowTiles; ++t)
      ldmatrix_x4(a[t], row_major_16x16<S::kHeadDim>(q, row + 16 * t, col));
    LECTERN_UNROLL
    for (int n = 0; n < S::kWarpKeys / 16; ++n) {
      uint32_t r[4];
      ldmatrix_x4(r, col_major_16x16<S::kHeadDim>(k, key + 16 * n, col));
      const uint32_t b[2][2] = {{r[0], r[1]}, {r[2], r[3]}};
      LECTERN_UNROLL
      for (int t = 0; t < S::kRowTiles; ++t)
        for (int i = 0; i < 2; ++i) mma_m16n8k16(scores[t][2 * n + i], a[t], b[i]);
    }
  }
}

// Scores become weights; what the rows hold is made relative to their new maxima.
template <typename S>
__device__ __forceinline__ void weigh(float scale, float (&scores)[S::kRowTiles][S::kWarpKeys / 8][4],
                                      Rows<S>& rows) {
  float shrink[S::kRowTiles][2];
  bool moved = false;
  LECTERN_UNROLL
  for (int t = 0; t < S::kRowTiles; ++t)
    for (int upper = 0; upper < 2; ++upper) {
      float top = -INFINITY;
      LECTERN_UNROLL
      for (int n = 0; n < S::kWarpKeys / 8; ++n)
        top = fmaxf(top, fmaxf(scores[t][n][2 * upper], scores[t][n][2 * upper + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      top = fmaxf(top * scale, rows.maximum[t][upper]);
      // A row that has met no key yet stays at -inf, where differences would be NaN.
      const float base = top == -INFINITY ? 0.0f : top;
      shrink[t][upper] = exp2_fast(rows.maximum[t][upper] - base);
      moved |= top != rows.maximum[t][upper];
      rows.maximum[t][upper] = top;
      float sum = 0;
      LECTERN_UNROLL
      for (int n = 0; n < S::kWarpKeys / 8; ++n)
        for (int i = 2 * upper; i < 2 * upper + 2; ++i) {
          scores[t][n][i] = exp2_fast(fmaf(scores[t][n][i], scale, kWeightBits - base));
          sum += scores[t][n][i];
        }
      rows.sum[t][upper] = rows.sum[t][upper] * shrink[t][upper] + sum;
    }
  // After the first tiles most maxima stand.
  if (__ballot_sync(0xffffffffu, moved) == 0) return;
  LECTERN_UNROLL
  for (int t = 0; t < S::kRowTiles; ++t) {
    LECTERN_UNROLL
    for (int n = 0; n < S::kHeadDim / 8; ++n)
      for (int i = 0; i < 4; ++i) rows.values[t][n][i] *= shrink[t][i / 2];
  }
}

// values[rows, d] += weights . v; the sums of one product are the operand of the next as they lie.
template <typename S>
__device__ __forceinline__ void add_values(const float (&weights)[S::kRowTiles][S::kWarpKeys / 8][4],
                                           const std::byte* v, int key, Rows<S>& rows) {
  LECTERN_UNROLL
  for (int n = 0; n < S::kWarpKeys / 16; ++n) {
    uint32_t a[S::kRowTiles][4];
    LECTERN_UNROLL
    for (int t = 0; t < S::kRowTiles; ++t)
      for (int i = 0; i < 4; ++i) {
        const float(&w)[4] = weights[t][2 * n + i / 2];
        a[t][i] = pack_halves(w[i % 2 * 2], w[i % 2 * 2 + 1]);
      }
    LECTERN_UNROLL
    for (int col = 0; col < S::kHeadDim; col += 16) {
      uint32_t r[4];
      ldmatrix_x4_trans(r, row_major_16x16<S::kHeadDim>(v, key + 16 * n, col));
      const uint32_t b[2][2] = {{r[0], r[1]}, {r[2], r[3]}};
      LECTERN_UNROLL
      for (int t = 0; t < S::kRowTiles; ++t)
        for (int i = 0; i < 2; ++i) mma_m16n8k16(rows.values[t][col / 8 + i], a[t], b[i]);
    }
  }
}

}  // namespace lectern::cuda
