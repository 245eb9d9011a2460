// Decodes the number formats of model files (kernels/common/types.h) eight consecutive weights at a time, on
// the device and on the host. A matrix begins at 256 bytes, so a block is aligned as its size allows:
// kAlignment, which a load may rely on.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/common/types.h"

namespace lectern::cuda {

template <DType kType>
inline constexpr int kBlockBytes = kDTypeInfo[static_cast<int>(kType)].block_bytes;
template <DType kType>
inline constexpr int kBlockElements = kDTypeInfo[static_cast<int>(kType)].block_elements;

// The largest power of two, up to 16, that divides the size of a block; of plain numbers, that of eight.
template <DType kType>
inline constexpr int kAlignment = (kBlockElements<kType> == 1 || kBlockBytes<kType> % 16 == 0) ? 16
                                  : kBlockBytes<kType> % 8 == 0                                ? 8
                                  : kBlockBytes<kType> % 4 == 0                                ? 4
                                                                                               : 2;

// Bytes of which at least kAlign are aligned, by the widest loads that this allows.
template <int kAlign, typename T>
__host__ __device__ __forceinline__ T load_as(const void* from) {
  T value;
  std::memcpy(&value, __builtin_assume_aligned(from, kAlign), sizeof(T));
  return value;
}

__host__ __device__ __forceinline__ float half_bits_to_float(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}

// Eight small whole numbers, one a byte.
struct Bytes8 {
  uint32_t word[2];
  __host__ __device__ __forceinline__ int operator[](int i) const {
    return static_cast<int>(word[i / 4] >> (8 * (i % 4)) & 0xffu);
  }
};

// Eight bytes each shifted and masked; bits from a neighbour must be masked away.
__host__ __device__ __forceinline__ Bytes8 bits_of(const Bytes8& x, int shift, uint32_t mask) {
  return {{x.word[0] >> shift & mask, x.word[1] >> shift & mask}};
}
__host__ __device__ __forceinline__ Bytes8 with_high(const Bytes8& low, const Bytes8& high, int shift) {
  return {{low.word[0] | high.word[0] << shift, low.word[1] | high.word[1] << shift}};
}
// Bit i of `bits` becomes bit 0 of byte i.
__host__ __device__ __forceinline__ Bytes8 spread_bits(uint32_t bits) {
  // The product puts a copy of four bits at each 7th place, so that bit i stands at place 8i.
  return {{(bits & 15u) * 0x00204081u & 0x01010101u, (bits >> 4 & 15u) * 0x00204081u & 0x01010101u}};
}

// w = scale * (q - offset) - minimum
__host__ __device__ __forceinline__ void scaled(const Bytes8& q, int offset, float scale, float (&w)[8]) {
  for (int i = 0; i < 8; ++i) w[i] = scale * static_cast<float>(q[i] - offset);
}
__host__ __device__ __forceinline__ void scaled_plus(const Bytes8& q, float scale, float add, float (&w)[8]) {
  for (int i = 0; i < 8; ++i) w[i] = scale * static_cast<float>(q[i]) + add;
}

// Blocks of 32 whose quants are nibbles: weights 8k.. are the low ones of the first or second half of qs, or
// the high ones.
template <int kAlign>
__host__ __device__ __forceinline__ Bytes8 nibbles_of_32(const uint8_t* qs, int k) {
  return bits_of(load_as<kAlign, Bytes8>(qs + k % 2 * 8), k / 2 * 4, 0x0f0f0f0fu);
}

__host__ __device__ __forceinline__ int iq4_value(int index) {
  // -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, 128 more than each, a byte each.
  constexpr uint64_t kLow = 0x766a5d4f3f2d1801u, kHigh = 0xf1d9c5b5a6998d81u;
  return static_cast<int>((index < 8 ? kLow : kHigh) >> (8 * (index % 8)) & 0xffu) - 128;
}
__host__ __device__ __forceinline__ void scaled_iq4(const Bytes8& q, float scale, float (&w)[8]) {
  for (int i = 0; i < 8; ++i) w[i] = scale * static_cast<float>(iq4_value(q[i]));
}

// Weights 8k .. 8k + 7 of a block.
__host__ __device__ __forceinline__ void decode8(const BlockQ8_0& b, int k, float (&w)[8]) {
  const auto q = load_as<2, Bytes8>(b.qs + 8 * k);
  const float d = half_bits_to_float(b.d);
  for (int i = 0; i < 8; ++i) w[i] = d * static_cast<float>(static_cast<int8_t>(q[i]));
}
__host__ __device__ __forceinline__ void decode8(const BlockQ4_0& b, int k, float (&w)[8]) {
  scaled(nibbles_of_32<2>(b.qs, k), 8, half_bits_to_float(b.d), w);
}
__host__ __device__ __forceinline__ void decode8(const BlockQ4_1& b, int k, float (&w)[8]) {
  scaled_plus(nibbles_of_32<4>(b.qs, k), half_bits_to_float(b.d), half_bits_to_float(b.m), w);
}
__host__ __device__ __forceinline__ void decode8(const BlockQ5_0& b, int k, float (&w)[8]) {
  scaled(with_high(nibbles_of_32<2>(b.qs, k), spread_bits(b.qh[k]), 4), 16, half_bits_to_float(b.d), w);
}
__host__ __device__ __forceinline__ void decode8(const BlockQ5_1& b, int k, float (&w)[8]) {
  scaled_plus(with_high(nibbles_of_32<4>(b.qs, k), spread_bits(b.qh[k]), 4), half_bits_to_float(b.d),
              half_bits_to_float(b.m), w);
}

// Q2_K and Q3_K: each half of the super-block has 32 bytes of qs, whose four bit pairs are weights 32 apart.
template <int kAlign>
__host__ __device__ __forceinline__ Bytes8 pairs_of_256(const uint8_t* qs, int k) {
  return bits_of(load_as<kAlign, Bytes8>(qs + k / 16 * 32 + k % 4 * 8), k % 16 / 4 * 2, 0x03030303u);
}
__host__ __device__ __forceinline__ void decode8(const BlockQ2_K& b, int k, float (&w)[8]) {
  const int scale = b.scales[k / 2];
  scaled_plus(pairs_of_256<4>(b.qs, k), half_bits_to_float(b.d) * static_cast<float>(scale & 15),
              -(half_bits_to_float(b.dmin) * static_cast<float>(scale >> 4)), w);
}
__host__ __device__ __forceinline__ void decode8(const BlockQ3_K& b, int k, float (&w)[8]) {
  const int j = k / 2;
  const int low = b.scales[j % 8] >> (j / 8 * 4) & 15, high = b.scales[8 + j % 4] >> (j / 4 * 2) & 3;
  const Bytes8 bit = bits_of(load_as<2, Bytes8>(b.hmask + k % 4 * 8), k / 4, 0x01010101u);
  scaled(with_high(pairs_of_256<2>(b.qs, k), bit, 2), 4,
         half_bits_to_float(b.d) * static_cast<float>((low | high << 4) - 32), w);
}

// Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima in the bytes 4..15 of a block. The first four of
// each lie whole in the low bits; the others' low nibbles share the last four bytes and their high bits sit
// on top of the first eight.
struct ScaleMin {
  float scale, minimum;
};
__host__ __device__ __forceinline__ ScaleMin scale_min(const uint4& head, int j) {
  const int shift = j % 4 * 8;
  const uint32_t scales = head.y >> shift & 0xffu, minima = head.z >> shift & 0xffu,
                 rest = head.w >> shift & 0xffu;
  const uint32_t scale = j < 4 ? scales & 63u : (rest & 15u) | scales >> 6 << 4;
  const uint32_t minimum = j < 4 ? minima & 63u : rest >> 4 | minima >> 6 << 4;
  return {half_bits_to_float(static_cast<uint16_t>(head.x)) * static_cast<float>(scale),
          half_bits_to_float(static_cast<uint16_t>(head.x >> 16)) * static_cast<float>(minimum)};
}
__host__ __device__ __forceinline__ void decode8(const BlockQ4_K& b, int k, float (&w)[8]) {
  const ScaleMin s = scale_min(load_as<16, uint4>(&b), k / 4);
  const auto q = load_as<8, Bytes8>(b.qs + k / 8 * 32 + k % 4 * 8);
  scaled_plus(bits_of(q, k / 4 % 2 * 4, 0x0f0f0f0fu), s.scale, -s.minimum, w);
}
__host__ __device__ __forceinline__ void decode8(const BlockQ5_K& b, int k, float (&w)[8]) {
  const ScaleMin s = scale_min(load_as<16, uint4>(&b), k / 4);
  const auto q = load_as<8, Bytes8>(b.qs + k / 8 * 32 + k % 4 * 8);
  const Bytes8 bit = bits_of(load_as<8, Bytes8>(b.qh + k % 4 * 8), k / 4, 0x01010101u);
  scaled_plus(with_high(bits_of(q, k / 4 % 2 * 4, 0x0f0f0f0fu), bit, 4), s.scale, -s.minimum, w);
}

__host__ __device__ __forceinline__ void decode8(const BlockQ6_K& b, int k, float (&w)[8]) {
  // Each half: 64 bytes of ql (low nibbles first, then high ones), 32 bytes of qh (a bit pair each 32
  // weights).
  const int half = k / 16, j = k % 16;
  const auto low = load_as<2, Bytes8>(b.ql + half * 64 + j % 8 * 8);
  const auto high = load_as<2, Bytes8>(b.qh + half * 32 + j % 4 * 8);
  scaled(with_high(bits_of(low, j / 8 * 4, 0x0f0f0f0fu), bits_of(high, j / 4 * 2, 0x03030303u), 4), 32,
         half_bits_to_float(b.d) * static_cast<float>(b.scales[k / 2]), w);
}

__host__ __device__ __forceinline__ void decode8(const BlockIQ4_NL& b, int k, float (&w)[8]) {
  scaled_iq4(nibbles_of_32<2>(b.qs, k), half_bits_to_float(b.d), w);
}
__host__ __device__ __forceinline__ void decode8(const BlockIQ4_XS& b, int k, float (&w)[8]) {
  const int j = k / 4;
  const int low = b.scales_l[j / 2] >> (j % 2 * 4) & 15, high = b.scales_h >> (2 * j) & 3;
  scaled_iq4(nibbles_of_32<8>(b.qs + 16 * j, k % 4),
             half_bits_to_float(b.d) * static_cast<float>((low | high << 4) - 32), w);
}

template <DType kType>
struct BlockOf;
// clang-format off
template <> struct BlockOf<DType::kQ8_0> { using Type = BlockQ8_0; };
template <> struct BlockOf<DType::kQ4_0> { using Type = BlockQ4_0; };
template <> struct BlockOf<DType::kQ4_1> { using Type = BlockQ4_1; };
template <> struct BlockOf<DType::kQ5_0> { using Type = BlockQ5_0; };
template <> struct BlockOf<DType::kQ5_1> { using Type = BlockQ5_1; };
template <> struct BlockOf<DType::kQ2_K> { using Type = BlockQ2_K; };
template <> struct BlockOf<DType::kQ3_K> { using Type = BlockQ3_K; };
template <> struct BlockOf<DType::kQ4_K> { using Type = BlockQ4_K; };
template <> struct BlockOf<DType::kQ5_K> { using Type = BlockQ5_K; };
template <> struct BlockOf<DType::kQ6_K> { using Type = BlockQ6_K; };
template <> struct BlockOf<DType::kIQ4_NL> { using Type = BlockIQ4_NL; };
template <> struct BlockOf<DType::kIQ4_XS> { using Type = BlockIQ4_XS; };
// clang-format on

// Weights 8 index .. 8 index + 7 of a row, or of a whole matrix.
template <DType kType>
__host__ __device__ __forceinline__ void decode8(const void* row, int64_t index, float (&w)[8]) {
  const auto* bytes = static_cast<const std::byte*>(row);
  if constexpr (kType == DType::kF32) {
    struct Eight {
      float x[8];
    };
    const auto v = load_as<16, Eight>(bytes + 32 * index);
    for (int i = 0; i < 8; ++i) w[i] = v.x[i];
  } else if constexpr (kType == DType::kF16 || kType == DType::kBF16) {
    const auto v = load_as<16, uint4>(bytes + 16 * index);
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 8; ++i) {
      const auto bits = static_cast<uint16_t>(words[i / 2] >> (16 * (i % 2)));
      if constexpr (kType == DType::kF16) {
        w[i] = half_bits_to_float(bits);
      } else {
        const uint32_t wide = uint32_t{bits} << 16;
        std::memcpy(&w[i], &wide, sizeof(wide));
      }
    }
  } else {
    constexpr int kGroups = kBlockElements<kType> / 8;
    const auto* block =
        reinterpret_cast<const typename BlockOf<kType>::Type*>(bytes + index / kGroups * kBlockBytes<kType>);
    decode8(*block, static_cast<int>(index % kGroups), w);
  }
}

// Calls f.operator()<kType>() for the type that `dtype` is. Host only.
template <typename F>
void with_dtype(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF32:
      return f.template operator()<DType::kF32>();
    case DType::kF16:
      return f.template operator()<DType::kF16>();
    case DType::kBF16:
      return f.template operator()<DType::kBF16>();
    case DType::kQ8_0:
      return f.template operator()<DType::kQ8_0>();
    case DType::kQ4_0:
      return f.template operator()<DType::kQ4_0>();
    case DType::kQ4_1:
      return f.template operator()<DType::kQ4_1>();
    case DType::kQ5_0:
      return f.template operator()<DType::kQ5_0>();
    case DType::kQ5_1:
      return f.template operator()<DType::kQ5_1>();
    case DType::kQ2_K:
      return f.template operator()<DType::kQ2_K>();
    case DType::kQ3_K:
      return f.template operator()<DType::kQ3_K>();
    case DType::kQ4_K:
      return f.template operator()<DType::kQ4_K>();
    case DType::kQ5_K:
      return f.template operator()<DType::kQ5_K>();
    case DType::kQ6_K:
      return f.template operator()<DType::kQ6_K>();
    case DType::kIQ4_NL:
      return f.template operator()<DType::kIQ4_NL>();
    case DType::kIQ4_XS:
      return f.template operator()<DType::kIQ4_XS>();
  }
}

}  // namespace lectern::cuda
