// The weight formats as constants, for the matmuls that read the packed layout (avx2_layout.h): which planes
// hold the quants, what a quant stands for, where in a block what lies. Plain numbers; safe in ISA files.
#pragma once

#include "kernels/cpu/avx2_layout.h"

namespace lectern::avx2 {
namespace {

// The planes of a format and what follows from them.
template <bool nibbles, int high_bits>
struct Planes {
  static constexpr bool kNibbles = nibbles;
  static constexpr int kHighBits = high_bits;  // bits above the nibbles, or all of them
  static constexpr int kBits = (nibbles ? 4 : 0) + high_bits;
  static constexpr int kBytes =
      (nibbles ? kNibblePlane : 0) + (high_bits >= 2 ? kTwoBitPlane : 0) + high_bits % 2 * kOneBitPlane;
};
struct BytePlanes {
  static constexpr int kBits = 8;
  static constexpr int kBytes = kBytePlane;
};

// What the bits of a quant stand for.
enum class Quants {
  kUnsigned,  // themselves, less the format's offset
  kSigned,    // a signed byte
  kTable,     // an index into kIQ4Values
};
// clang-format off
constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// clang-format on

// Blocks of 32: w = d * (quant - offset), or d * quant + m.
template <typename P, Quants quants, bool has_minimum, int offset, bool float_scale = false>
struct Blocks : P {
  using BlockPlanes = P;
  static constexpr Quants kQuants = quants;
  static constexpr bool kMinimum = has_minimum;
  static constexpr int kOffset = offset;
  static constexpr bool kFloatScale = float_scale;  // d is a float, not a half
  static constexpr int kPlanesAt = has_minimum || float_scale ? 2 * kHalves : kHalves;
  static constexpr int kBlockBytes = kPlanesAt + P::kBytes;
};
using Q8_0 = Blocks<BytePlanes, Quants::kSigned, false, 0>;
using Q4_0 = Blocks<Planes<true, 0>, Quants::kUnsigned, false, 8>;
using Q4_1 = Blocks<Planes<true, 0>, Quants::kUnsigned, true, 0>;
using Q5_0 = Blocks<Planes<true, 1>, Quants::kUnsigned, false, 16>;
using Q5_1 = Blocks<Planes<true, 1>, Quants::kUnsigned, true, 0>;
using IQ4_NL = Blocks<Planes<true, 0>, Quants::kTable, false, 0>;
using IQ4_XS = Blocks<Planes<true, 0>, Quants::kTable, false, 0, true>;

// Super-blocks of 256. kScales: integer scales a tile block of 32 columns, signed or not. A format has
// minima, or an offset that all its quants carry.
template <typename P, int scales_a_block, bool has_minima, int offset>
struct SuperBlocks : P {
  static constexpr int kScales = scales_a_block;
  static constexpr bool kMinima = has_minima;
  static constexpr int kOffset = offset;
  static constexpr int kScaleBytes = 64 * kScales;  // of a super-block
  static constexpr int kScalesAt = has_minima ? 2 * kHalves : kHalves;
  static constexpr int kMinimaAt = kScalesAt + kScaleBytes;
  static constexpr int kPlanesAt = kMinimaAt + (has_minima ? kScaleBytes : 0);
  static constexpr int kSuperBlockBytes = kPlanesAt + 8 * P::kBytes;
};
using Q2_K = SuperBlocks<Planes<false, 2>, 2, true, 0>;
using Q3_K = SuperBlocks<Planes<false, 3>, 2, false, 4>;
using Q4_K = SuperBlocks<Planes<true, 0>, 1, true, 0>;
using Q5_K = SuperBlocks<Planes<true, 1>, 1, true, 0>;
using Q6_K = SuperBlocks<Planes<true, 2>, 2, false, 32>;

constexpr int log2(int power_of_two) {
  return power_of_two == 1 ? 0 : 1 + log2(power_of_two / 2);
}

// -- activations --------------------------------------------------------------------------------------------

// What the tokens of a tile share of a block of activations (avx2_layout.h).
struct Activations32 {
  Activations32(const uint8_t* block, int m)
      : quants(block), scales(block + m * 32), negated_sums(scales + m * 4) {}
  const uint8_t *quants, *scales, *negated_sums;
};
struct Activations256 {
  Activations256(const uint8_t* block, int m)
      : quants(block), scales(block + m * 256), sums_16(scales + m * 4), sums_32(sums_16 + m * 32) {}
  // The pairs of sums of token t that a format wants, 4 bytes each.
  template <typename F>
  const uint8_t* pair_sums(int t) const {
    return F::kScales == 1 ? sums_32 + t * 16 : sums_16 + t * 32;
  }
  const uint8_t *quants, *scales, *sums_16, *sums_32;
};

}  // namespace
}  // namespace lectern::avx2
