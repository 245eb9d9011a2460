// Tiles of keys or values in shared memory, as the tensor cores read them: kTileRows rows of kHeadDim halves.
#pragma once

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {

inline constexpr int kTileRows = 64;  // half a page

// Where a row's 16-byte chunk lies: chunks change places by row % 8, so that the eight rows of an 8x8 matrix
// (ldmatrix) lie in different banks.
template <int kHeadDim>
__device__ __forceinline__ int chunk_at(int row, int chunk) {
  return (row * (kHeadDim / 8) + (chunk ^ (row & 7))) * 16;
}

__device__ __forceinline__ uint32_t pack_halves(float x, float y) {
  const __half2 pair = __floats2half2_rn(x, y);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

// The rows of four 8x8 matrices that make the 16x16 one at (row, col), multiples of 16: A as mma reads it, or
// B transposed. A chunk's place is its number XOR row % 8, and col / 8 is even, so the column can come last:
// what comes before is the same for all 16x16 matrices.
template <int kHeadDim>
__device__ __forceinline__ const std::byte* row_major_16x16(const std::byte* tile, int row, int col) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  return tile + row * (kHeadDim * 2) + (chunk_at<kHeadDim>(lane % 16, lane / 16) ^ (col * 2));
}
// B[k, n] as mma reads it from rows n: registers 0 and 1 are rows 0 to 7, registers 2 and 3 rows 8 to 15.
template <int kHeadDim>
__device__ __forceinline__ const std::byte* col_major_16x16(const std::byte* tile, int row, int col) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  return tile + row * (kHeadDim * 2) +
         (chunk_at<kHeadDim>(lane / 16 * 8 + lane % 8, lane / 8 % 2) ^ (col * 2));
}

// Begins to copy a tile. Rows from n_rows on become zeros: what lies there is old memory, and a weight of 0
// does not save a sum from a NaN.
template <int kHeadDim, int kThreads>
__device__ __forceinline__ void copy_halves(const std::byte* from, int n_rows, std::byte* to) {
  constexpr int kChunks = kHeadDim / 8;
  LECTERN_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kChunks; i += kThreads) {
    const int row = i / kChunks;
    cp_async_16(to + chunk_at<kHeadDim>(row, i % kChunks), from + i * 16, row < n_rows ? 16 : 0);
  }
}

// The same of bytes and their scales, as they lie.
template <int kHeadDim, int kThreads>
__device__ __forceinline__ void copy_bytes(const std::byte* from, const std::byte* from_scales, int n_rows,
                                           std::byte* to, float* scales) {
  constexpr int kChunks = kHeadDim / 16;
  LECTERN_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kChunks; i += kThreads)
    cp_async_16(to + i * 16, from + i * 16, i / kChunks < n_rows ? 16 : 0);
  if (const int i = static_cast<int>(threadIdx.x); i < kTileRows / 4)
    cp_async_16(scales + i * 4, from_scales + i * 16);
}

// Two signed bytes, whose top bits are flipped, as halves: 0x6400 + u is the half 1024 + u.
__device__ __forceinline__ __half2 widen(uint32_t flipped, uint32_t selector) {
  const uint32_t bits = __byte_perm(flipped, 0x64646464u, selector);
  __half2 pair;
  memcpy(&pair, &bits, sizeof(pair));
  return __hsub2(pair, __float2half2_rn(1152.0f));
}

// Bytes to halves, exactly, or times the scales of their rows (those from n_rows on are not read).
template <int kHeadDim, int kThreads, bool kScaled>
__device__ __forceinline__ void widen_bytes(const std::byte* from, const float* scales, int n_rows,
                                            std::byte* to) {
  constexpr int kChunks = kHeadDim / 16;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kChunks; i += kThreads) {
    const int row = i / kChunks;
    const uint4 bytes = *reinterpret_cast<const uint4*>(from + i * 16);
    const uint32_t words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
    const __half2 scale = __float2half2_rn(kScaled && row < n_rows ? scales[row] : 0.0f);
    uint32_t halves[8];
    LECTERN_UNROLL
    for (int k = 0; k < 8; ++k) {
      __half2 pair = widen(words[k / 2] ^ 0x80808080u, k % 2 == 0 ? 0x4140 : 0x4342);
      if (kScaled) pair = __hmul2(pair, scale);
      memcpy(&halves[k], &pair, sizeof(pair));
    }
    LECTERN_UNROLL
    for (int k = 0; k < 2; ++k)
      *reinterpret_cast<uint4*>(to + chunk_at<kHeadDim>(row, i % kChunks * 2 + k)) =
          uint4{halves[4 * k], halves[4 * k + 1], halves[4 * k + 2], halves[4 * k + 3]};
  }
}

}  // namespace lectern::cuda
