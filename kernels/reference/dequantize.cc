#include "kernels/reference/dequantize.h"

#include <bit>
#include <cstring>

namespace lectern {

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24 is exact in float
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t float_exponent = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | float_exponent << 23 | mantissa << 13);
}

uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)  // NaN: quiet, with the payload that fits
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                        // below 2^-14: a subnormal half or zero
    // Adding 0.5 puts the last kept bit (2^-24) into the last bit of the float: the addition itself rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f)));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  const uint32_t rounded = magnitude - (static_cast<uint32_t>(127 - 15) << 23) + 0xfffu + odd;
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

float bf16_to_float(uint16_t bf16) {
  return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16);
}

namespace {

constexpr int kSuperBlock = 256;
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void decode(const BlockQ8_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

void decode(const BlockQ4_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((block.qs[i] >> 4) - 8);
  }
}

void decode(const BlockQ4_1& block, float* out) {
  const float d = half_to_float(block.d), m = half_to_float(block.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(block.qs[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(block.qs[i] >> 4) + m;
  }
}

// The fifth bit of weight i, in the place of the fifth bit.
int fifth_bit(const uint8_t* qh, int i) {
  return ((qh[i / 8] >> (i % 8)) & 1) << 4;
}

void decode(const BlockQ5_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(((block.qs[i] & 15) | fifth_bit(block.qh, i)) - 16);
    out[i + 16] = d * static_cast<float>(((block.qs[i] >> 4) | fifth_bit(block.qh, i + 16)) - 16);
  }
}

void decode(const BlockQ5_1& block, float* out) {
  const float d = half_to_float(block.d), m = half_to_float(block.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.qs[i] & 15) | fifth_bit(block.qh, i)) + m;
    out[i + 16] = d * static_cast<float>((block.qs[i] >> 4) | fifth_bit(block.qh, i + 16)) + m;
  }
}

// Q2_K and Q3_K: each half of the super-block (128 weights) has 32 bytes of qs; weight i of the half is the
// bit pair i/32 of byte i%32.
int two_bits(const uint8_t* qs, int i) {
  return (qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
}

void decode(const BlockQ2_K& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int i = 0; i < kSuperBlock; ++i) {
    const uint8_t scale = block.scales[i / 16];
    out[i] = d * static_cast<float>(scale & 15) * static_cast<float>(two_bits(block.qs, i)) -
             dmin * static_cast<float>(scale >> 4);
  }
}

void decode(const BlockQ3_K& block, float* out) {
  const float d = half_to_float(block.d);
  float scales[16];
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? block.scales[j] & 15 : block.scales[j - 8] >> 4;
    const int high = (block.scales[8 + j % 4] >> (j / 4 * 2)) & 3;
    scales[j] = d * static_cast<float>((low | high << 4) - 32);
  }
  for (int i = 0; i < kSuperBlock; ++i) {
    const int high = (block.hmask[i % 32] >> (i / 32)) & 1;
    out[i] = scales[i / 16] * static_cast<float>((two_bits(block.qs, i) | high << 2) - 4);
  }
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each lie whole in the low bits;
// the others' low nibbles share bytes 8..11 and their high bits sit on top of bytes 0..7.
void unpack_scale_min(const uint8_t* packed, int j, float& scale, float& minimum) {
  if (j < 4) {
    scale = static_cast<float>(packed[j] & 63);
    minimum = static_cast<float>(packed[j + 4] & 63);
  } else {
    scale = static_cast<float>((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4);
    minimum = static_cast<float>((packed[j + 4] >> 4) | (packed[j] >> 6) << 4);
  }
}

// Q4_K and Q5_K: sub-blocks 2c and 2c+1 are the low and high nibbles of the c-th 32 bytes.
int nibble(const uint8_t* qs, int sub_block, int i) {
  return (qs[sub_block / 2 * 32 + i] >> (sub_block % 2 * 4)) & 15;
}

void decode(const BlockQ4_K& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int j = 0; j < 8; ++j, out += 32) {
    float scale, minimum;
    unpack_scale_min(block.scales, j, scale, minimum);
    scale *= d;
    minimum *= dmin;
    for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(nibble(block.qs, j, i)) - minimum;
  }
}

void decode(const BlockQ5_K& block, float* out) {
  const float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
  for (int j = 0; j < 8; ++j, out += 32) {
    float scale, minimum;
    unpack_scale_min(block.scales, j, scale, minimum);
    scale *= d;
    minimum *= dmin;
    for (int i = 0; i < 32; ++i) {
      const int q = nibble(block.qs, j, i) | ((block.qh[i] >> j) & 1) << 4;
      out[i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void decode(const BlockQ6_K& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < kSuperBlock; ++i) {
    // Each half: 64 bytes of ql (low nibbles first, then high nibbles), 32 bytes of qh (a bit pair each 32).
    const int half = i / 128, j = i % 128;
    const int low = (block.ql[half * 64 + j % 64] >> (j / 64 * 4)) & 15;
    const int high = (block.qh[half * 32 + j % 32] >> (j / 32 * 2)) & 3;
    out[i] = d * static_cast<float>(block.scales[i / 16]) * static_cast<float>((low | high << 4) - 32);
  }
}

void decode(const BlockIQ4_NL& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(kIq4Values[block.qs[i] & 15]);
    out[i + 16] = d * static_cast<float>(kIq4Values[block.qs[i] >> 4]);
  }
}

void decode(const BlockIQ4_XS& block, float* out) {
  const float d = half_to_float(block.d);
  for (int j = 0; j < 8; ++j, out += 32) {
    const int low = (block.scales_l[j / 2] >> (j % 2 * 4)) & 15;
    const int high = (block.scales_h >> (j * 2)) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int i = 0; i < 16; ++i) {
      out[i] = scale * static_cast<float>(kIq4Values[block.qs[j * 16 + i] & 15]);
      out[i + 16] = scale * static_cast<float>(kIq4Values[block.qs[j * 16 + i] >> 4]);
    }
  }
}

// Blocks are copied out one by one: nothing promises that `src` is aligned.
template <typename Block>
void decode_blocks(const void* src, int64_t n, int block_elements, float* out) {
  const auto* bytes = static_cast<const std::byte*>(src);
  for (int64_t i = 0; i < n; i += block_elements, bytes += sizeof(Block)) {
    Block block;
    std::memcpy(&block, bytes, sizeof(Block));
    decode(block, out + i);
  }
}

template <typename Convert>
void convert_halves(const void* src, int64_t n, float* out, Convert convert) {
  const auto* bytes = static_cast<const std::byte*>(src);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, sizeof(bits));
    out[i] = convert(bits);
  }
}

}  // namespace

void dequantize(DType dtype, const void* src, int64_t n, float* out) {
  switch (dtype) {
    case DType::kF32:
      if (n > 0) std::memcpy(out, src, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      return convert_halves(src, n, out, half_to_float);
    case DType::kBF16:
      return convert_halves(src, n, out, bf16_to_float);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(src, n, 32, out);
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(src, n, 32, out);
    case DType::kQ4_1:
      return decode_blocks<BlockQ4_1>(src, n, 32, out);
    case DType::kQ5_0:
      return decode_blocks<BlockQ5_0>(src, n, 32, out);
    case DType::kQ5_1:
      return decode_blocks<BlockQ5_1>(src, n, 32, out);
    case DType::kQ2_K:
      return decode_blocks<BlockQ2_K>(src, n, kSuperBlock, out);
    case DType::kQ3_K:
      return decode_blocks<BlockQ3_K>(src, n, kSuperBlock, out);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(src, n, kSuperBlock, out);
    case DType::kQ5_K:
      return decode_blocks<BlockQ5_K>(src, n, kSuperBlock, out);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(src, n, kSuperBlock, out);
    case DType::kIQ4_NL:
      return decode_blocks<BlockIQ4_NL>(src, n, 32, out);
    case DType::kIQ4_XS:
      return decode_blocks<BlockIQ4_XS>(src, n, kSuperBlock, out);
  }
}

}  // namespace lectern
