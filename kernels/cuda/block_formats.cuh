// Decodes the number formats of model files (kernels/common/types.h) eight consecutive weights at a time, on
// the device and on the host. A matrix begins at 256 bytes, so a block is aligned as its size allows:
// kAlignment, which a load may rely on.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

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

// sizeof(T) bytes from where kAlign of them are aligned, by the widest loads that this allows.
template <int kAlign, typename T>
__host__ __device__ __forceinline__ T load_as(const void* from) {
  T value;
#ifdef __CUDA_ARCH__
  constexpr int kBytes = sizeof(T) < kAlign ? static_cast<int>(sizeof(T)) : kAlign;
  using Word = std::conditional_t<
      kBytes == 16, uint4,
      std::conditional_t<kBytes == 8, uint2, std::conditional_t<kBytes == 4, uint32_t, uint16_t>>>;
  static_assert(sizeof(Word) == kBytes && sizeof(T) % kBytes == 0);
  Word words[sizeof(T) / kBytes];
  for (int i = 0; i < static_cast<int>(sizeof(T) / kBytes); ++i) words[i] = static_cast<const Word*>(from)[i];
  std::memcpy(&value, words, sizeof(T));
#else
  std::memcpy(&value, from, sizeof(T));
#endif
  return value;
}

__host__ __device__ __forceinline__ float half_bits_to_float(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}

// Four small whole numbers, one a byte, the first the lowest.
using Bytes4 = uint32_t;

__host__ __device__ __forceinline__ int byte_of(Bytes4 bytes, int i) {
  return static_cast<int>(bytes >> (8 * i) & 0xffu);
}
// Bit i of four bits becomes bit 0 of byte i: the product puts a copy of the bits at each 7th place.
__host__ __device__ __forceinline__ Bytes4 spread_bits(uint32_t bits) {
  return bits * 0x00204081u & 0x01010101u;
}

// In every format of blocks, w = scale * (q - offset) - minimum, where q is a small whole number and scale
// and minimum belong to a group of 16 or 32 weights. For a block b:
//   quants4(b, k)     the q of the weights 4k .. 4k + 3
//   scales_of(b, k)   of the group with the weights 16k .. 16k + 15
struct Scales {
  float scale, minimum;
};

// Blocks of 32 whose quants are nibbles: the low ones of qs, then the high ones.
template <int kAlign>
__host__ __device__ __forceinline__ Bytes4 nibbles_of_32(const uint8_t* qs, int k) {
  return load_as<kAlign, uint32_t>(qs + k % 4 * 4) >> (k / 4 * 4) & 0x0f0f0f0fu;
}
__host__ __device__ __forceinline__ Bytes4 fifth_bits(const uint8_t* qh, int k) {
  return spread_bits(qh[k / 2] >> (k % 2 * 4) & 15u) << 4;
}

__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ8_0& b, int k) {  // of signed bytes
  return load_as<2, uint32_t>(b.qs + 4 * k);
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ4_0& b, int k) {
  return nibbles_of_32<2>(b.qs, k);
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ4_1& b, int k) {
  return nibbles_of_32<4>(b.qs, k);
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ5_0& b, int k) {
  return nibbles_of_32<2>(b.qs, k) | fifth_bits(b.qh, k);
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ5_1& b, int k) {
  return nibbles_of_32<4>(b.qs, k) | fifth_bits(b.qh, k);
}

template <typename Block>
__host__ __device__ __forceinline__ Scales scales_of(const Block& b, int) {
  if constexpr (requires { b.m; }) {
    return {half_bits_to_float(b.d), -half_bits_to_float(b.m)};
  } else {
    return {half_bits_to_float(b.d), 0.0f};
  }
}

// Q2_K and Q3_K: each half of the super-block has 32 bytes of qs, whose four bit pairs are weights 32 apart.
template <int kAlign>
__host__ __device__ __forceinline__ Bytes4 pairs_of_256(const uint8_t* qs, int k) {
  return load_as<kAlign, uint32_t>(qs + k / 32 * 32 + k % 8 * 4) >> (k % 32 / 8 * 2) & 0x03030303u;
}
// Bit k/8 of four of 32 bytes: a further bit of each weight of a super-block.
template <int kAlign>
__host__ __device__ __forceinline__ Bytes4 bit_of_256(const uint8_t* bits, int k) {
  return load_as<kAlign, uint32_t>(bits + k % 8 * 4) >> (k / 8) & 0x01010101u;
}

__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ2_K& b, int k) {
  return pairs_of_256<4>(b.qs, k);
}
__host__ __device__ __forceinline__ Scales scales_of(const BlockQ2_K& b, int k) {
  return {half_bits_to_float(b.d) * static_cast<float>(b.scales[k] & 15),
          half_bits_to_float(b.dmin) * static_cast<float>(b.scales[k] >> 4)};
}

__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ3_K& b, int k) {
  return pairs_of_256<2>(b.qs, k) | bit_of_256<2>(b.hmask, k) << 2;
}
__host__ __device__ __forceinline__ Scales scales_of(const BlockQ3_K& b, int k) {
  const int low = b.scales[k % 8] >> (k / 8 * 4) & 15, high = b.scales[8 + k % 4] >> (k / 4 * 2) & 3;
  return {half_bits_to_float(b.d) * static_cast<float>((low | high << 4) - 32), 0.0f};
}

// Q4_K and Q5_K: the low and high nibbles of each 32 bytes of qs are 32 weights each.
__host__ __device__ __forceinline__ Bytes4 nibbles_of_256(const uint8_t* qs, int k) {
  return load_as<4, uint32_t>(qs + k / 16 * 32 + k % 8 * 4) >> (k / 8 % 2 * 4) & 0x0f0f0f0fu;
}
// Eight 6-bit scales and eight 6-bit minima in the bytes 4..15 of a block. The first four of each lie whole
// in the low bits; the others' low nibbles share the last four bytes and their high bits sit on top of the
// first eight.
__host__ __device__ __forceinline__ Scales scales_of_32(const uint4& head, int j) {
  const int shift = j % 4 * 8;
  const uint32_t scales = head.y >> shift & 0xffu, minima = head.z >> shift & 0xffu;
  const uint32_t rest = head.w >> shift & 0xffu;
  const uint32_t scale = j < 4 ? scales & 63u : (rest & 15u) | scales >> 6 << 4;
  const uint32_t minimum = j < 4 ? minima & 63u : rest >> 4 | minima >> 6 << 4;
  return {half_bits_to_float(static_cast<uint16_t>(head.x)) * static_cast<float>(scale),
          half_bits_to_float(static_cast<uint16_t>(head.x >> 16)) * static_cast<float>(minimum)};
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ4_K& b, int k) {
  return nibbles_of_256(b.qs, k);
}
__host__ __device__ __forceinline__ Scales scales_of(const BlockQ4_K& b, int k) {
  return scales_of_32(load_as<16, uint4>(&b), k / 2);
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ5_K& b, int k) {
  return nibbles_of_256(b.qs, k) | bit_of_256<4>(b.qh, k) << 4;
}
__host__ __device__ __forceinline__ Scales scales_of(const BlockQ5_K& b, int k) {
  return scales_of_32(load_as<16, uint4>(&b), k / 2);
}

__host__ __device__ __forceinline__ Bytes4 quants4(const BlockQ6_K& b, int k) {
  // Each half: 64 bytes of ql (low nibbles first, then high ones), 32 bytes of qh (a bit pair each 32
  // weights).
  const int half = k / 32, j = k % 32;
  const uint32_t low = load_as<2, uint32_t>(b.ql + half * 64 + j % 16 * 4) >> (j / 16 * 4) & 0x0f0f0f0fu;
  const uint32_t high = load_as<2, uint32_t>(b.qh + half * 32 + j % 8 * 4) >> (j / 8 * 2) & 0x03030303u;
  return low | high << 4;
}
__host__ __device__ __forceinline__ Scales scales_of(const BlockQ6_K& b, int k) {
  return {half_bits_to_float(b.d) * static_cast<float>(b.scales[k]), 0.0f};
}

// The value of each of four nibbles, as signed bytes.
__host__ __device__ __forceinline__ Bytes4 iq4_values(Bytes4 nibbles) {
  // -127 -104 -83 -65 -49 -35 -22 -10, then 1 13 25 38 53 69 89 113.
  constexpr uint64_t kLow = 0xf6eaddcfbfad9881u, kHigh = 0x7159453526190d01u;
  Bytes4 result = 0;
  for (int i = 0; i < 4; ++i) {
    const int index = byte_of(nibbles, i);
    const uint64_t values = index < 8 ? kLow : kHigh;
    result |= (static_cast<uint32_t>(values >> (8 * (index % 8))) & 0xffu) << (8 * i);
  }
  return result;
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockIQ4_NL& b, int k) {
  return iq4_values(nibbles_of_32<2>(b.qs, k));
}
__host__ __device__ __forceinline__ Bytes4 quants4(const BlockIQ4_XS& b, int k) {
  return iq4_values(nibbles_of_32<4>(b.qs + k / 8 * 16, k % 8));
}
__host__ __device__ __forceinline__ Scales scales_of(const BlockIQ4_XS& b, int k) {
  const int j = k / 2;
  const int low = b.scales_l[j / 2] >> (j % 2 * 4) & 15, high = b.scales_h >> (2 * j) & 3;
  return {half_bits_to_float(b.d) * static_cast<float>((low | high << 4) - 32), 0.0f};
}

// The block, the weights of a group, what is subtracted from q, whether q is a signed byte, whether there are
// minima.
template <typename BlockType, int kGroupOf, int kOffsetOf, bool kSignedOf, bool kMinimumOf>
struct FormatOf {
  using Block = BlockType;
  static constexpr int kGroup = kGroupOf, kOffset = kOffsetOf;
  static constexpr bool kSigned = kSignedOf, kMinimum = kMinimumOf;
};
template <DType kType>
struct Format;
// clang-format off
template <> struct Format<DType::kQ8_0> : FormatOf<BlockQ8_0, 32, 0, true, false> {};
template <> struct Format<DType::kQ4_0> : FormatOf<BlockQ4_0, 32, 8, false, false> {};
template <> struct Format<DType::kQ4_1> : FormatOf<BlockQ4_1, 32, 0, false, true> {};
template <> struct Format<DType::kQ5_0> : FormatOf<BlockQ5_0, 32, 16, false, false> {};
template <> struct Format<DType::kQ5_1> : FormatOf<BlockQ5_1, 32, 0, false, true> {};
template <> struct Format<DType::kQ2_K> : FormatOf<BlockQ2_K, 16, 0, false, true> {};
template <> struct Format<DType::kQ3_K> : FormatOf<BlockQ3_K, 16, 4, false, false> {};
template <> struct Format<DType::kQ4_K> : FormatOf<BlockQ4_K, 32, 0, false, true> {};
template <> struct Format<DType::kQ5_K> : FormatOf<BlockQ5_K, 32, 0, false, true> {};
template <> struct Format<DType::kQ6_K> : FormatOf<BlockQ6_K, 16, 32, false, false> {};
template <> struct Format<DType::kIQ4_NL> : FormatOf<BlockIQ4_NL, 32, 0, true, false> {};
template <> struct Format<DType::kIQ4_XS> : FormatOf<BlockIQ4_XS, 32, 0, true, false> {};
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
    using F = Format<kType>;
    constexpr int kEights = kBlockElements<kType> / 8;
    const auto& block =
        *reinterpret_cast<const typename F::Block*>(bytes + index / kEights * kBlockBytes<kType>);
    const int k = static_cast<int>(index % kEights);
    const Scales s = scales_of(block, k / 2);
    for (int half = 0; half < 2; ++half) {
      const Bytes4 q = quants4(block, 2 * k + half);
      for (int i = 0; i < 4; ++i) {
        const int value = F::kSigned ? static_cast<int8_t>(byte_of(q, i)) : byte_of(q, i) - F::kOffset;
        w[4 * half + i] = s.scale * static_cast<float>(value) - (F::kMinimum ? s.minimum : 0.0f);
      }
    }
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
