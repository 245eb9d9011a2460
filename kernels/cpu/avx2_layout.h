// What the AVX2 and AVX-512 bundles' files agree on: how packed weights and quantised activations lie in
// memory. Plain constants and address arithmetic, internal to kernels/cpu/avx*; safe in ISA files (nothing
// with linkage).
//
// Weights. A row tile is kRowTile = 8 rows, cut along the columns into tile blocks of 32 columns. The
// quant of row r, column c of a tile block belongs to byte r*4 + c%4 of "vector" c/4, so vector i holds
// columns 4i..4i+3 of all 8 rows, one row a 32-bit lane, and one broadcast of 4 activations meets 8 rows.
// Quants are unsigned (the offset is taken back with the sums of the activations) and their bits are stored
// in planes, as many bits as the file has:
//   nibbles   128 bytes  byte j of V[p], p < 4: low nibble -> vector p, high nibble -> vector p + 4
//   two bits   64 bytes  byte j of H[h], h < 2: bits 2s, 2s+1 -> vector 4h + s
//   one bit    32 bytes  byte j: bit i -> vector i
//   (bytes    256 bytes  the signed 8-bit formats: the vectors themselves)
// Formats with blocks of 32 weights: [d: 8 halves][m: 8 halves, where the format has a minimum][planes].
// Formats with super-blocks of 256 weights, eight tile blocks together:
//   [d: 8 halves][dmin: 8 halves, where there are minima][scales][minima][planes of the 8 tile blocks]
//   one scale a tile block: byte b*8 + r; two scales (16 columns each): byte b*16 + r*2 + half.
//   minima in pairs, as they meet pairs of sums: one a tile block: byte (b/2)*16 + r*2 + b%2, else as scales.
// Float formats: column after column, [cols][8 rows].
//
// Activations. Token tiles of token_tile(cols) tokens (the last has what is left); within a tile, block after
// block along the columns, each with the arrays of its m tokens:
//   Int8Per32:  [m][32] int8, [m] scale (float), [m] sum, negated (int32)
//   Int8Per256: [m][256] int8, [m] scale (float), [m][16] sums of 16 (int16), [m][8] sums of 32 (int16)
//   Float:      plain rows, [n_tokens][cols]
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/types.h"

namespace lectern::avx2 {

enum Activations : int32_t { kFloat, kInt8Per32, kInt8Per256 };

constexpr int kNibblePlane = 128;
constexpr int kTwoBitPlane = 64;
constexpr int kOneBitPlane = 32;
constexpr int kBytePlane = 256;
constexpr int kHalves = 16;  // 8 halves, one a row

constexpr int kBytesPer32 = 32 + 2 * 4;          // of one token
constexpr int kBytesPer256 = 256 + 4 + 32 + 16;  // of one token

// A tile of activations should stay in half a megabyte of L2 while the weights stream past.
constexpr int kMaxTokenTile = 128;

// So many tokens meet the weights straight from their planes.
constexpr int kFewTokens = 4;

namespace {

inline Activations activations_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return kFloat;
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      return kInt8Per32;
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      break;
  }
  return kInt8Per256;
}

// Bytes of one row tile per block (of 32 or 256 columns), or per column for the float formats.
inline size_t tile_block_bytes(DType dtype) {
  constexpr int kOneScale = 64, kTwoScales = 128;  // of a super-block
  switch (dtype) {
    case DType::kF32:
      return 32;
    case DType::kF16:
    case DType::kBF16:
      return 16;
    case DType::kQ8_0:
      return kHalves + kBytePlane;
    case DType::kQ4_0:
    case DType::kIQ4_NL:
      return kHalves + kNibblePlane;
    case DType::kQ4_1:
      return 2 * kHalves + kNibblePlane;
    case DType::kQ5_0:
      return kHalves + kNibblePlane + kOneBitPlane;
    case DType::kQ5_1:
      return 2 * kHalves + kNibblePlane + kOneBitPlane;
    case DType::kIQ4_XS:  // its scales are products of a half and an integer: floats
      return 2 * kHalves + kNibblePlane;
    case DType::kQ2_K:
      return 2 * kHalves + 2 * kTwoScales + 8 * kTwoBitPlane;
    case DType::kQ3_K:
      return kHalves + kTwoScales + 8 * (kTwoBitPlane + kOneBitPlane);
    case DType::kQ4_K:
      return 2 * kHalves + 2 * kOneScale + 8 * kNibblePlane;
    case DType::kQ5_K:
      return 2 * kHalves + 2 * kOneScale + 8 * (kNibblePlane + kOneBitPlane);
    case DType::kQ6_K:
      break;
  }
  return kHalves + kTwoScales + 8 * (kNibblePlane + kTwoBitPlane);
}

inline int block_columns(DType dtype) {
  const Activations activations = activations_of(dtype);
  return activations == kFloat ? 1 : activations == kInt8Per32 ? 32 : 256;
}

inline int token_tile(int32_t cols) {
  return cols > 2048 ? kMaxTokenTile / 2 : kMaxTokenTile;
}

}  // namespace
}  // namespace lectern::avx2
