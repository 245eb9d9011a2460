// 8-bit floats with 4 bits of exponent and 3 of mantissa, for the CPU and the GPU: E4M3 of "FP8 Formats for
// Deep Learning" (arXiv:2209.05433), as the OCP 8-bit Floating Point Specification has it and tensor cores
// read it. Its largest number is 448, its smallest 2^-9; it has no infinities, and a NaN of either sign.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/common/host_device.h"

namespace lectern {

inline constexpr float kMostE4m3 = 448.0f;

// Rounds to the nearest number, of two to the even one; what is beyond +-448 becomes that; NaN stays NaN.
LECTERN_HOST_DEVICE inline uint8_t float_to_e4m3(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  const uint32_t sign = bits >> 24 & 0x80, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return static_cast<uint8_t>(sign | 0x7f);
  if (size >= 0x43e00000u) return static_cast<uint8_t>(sign | 0x7e);  // 448 or more
  if (size < 0x3c800000u) {  // less than 2^-6, the first with an exponent
    // Multiples of 2^-9: so much is the last bit of 2^14, and the sum is rounded to it.
    const float sum = (value < 0 ? -value : value) + 0x1p14f;
    memcpy(&bits, &sum, sizeof(bits));
    return static_cast<uint8_t>(sign | (bits & 0x0f));
  }
  // 20 of 23 bits of mantissa go, rounded half to even; a carry moves on into the exponent, as it should.
  const uint32_t rounded = size + 0x7ffffu + (size >> 20 & 1);
  return static_cast<uint8_t>(sign | ((rounded >> 20) - ((127 - 7) << 3)));
}

LECTERN_HOST_DEVICE inline float e4m3_to_float(uint8_t code) {
  const uint32_t sign = (code & 0x80u) << 24, size = code & 0x7fu;
  if (size < 8) {
    const float number = static_cast<float>(size) * 0x1p-9f;
    return sign != 0 ? -number : number;
  }
  const uint32_t bits = sign | (size == 0x7f ? 0x7fc00000u : (size << 20) + (uint32_t{127 - 7} << 23));
  float number;
  memcpy(&number, &bits, sizeof(number));
  return number;
}

// The scale of a row whose largest absolute value is `most`: x is about scale * e4m3(x / scale). Rows of
// (nearly) nothing have one whose inverse is finite.
LECTERN_HOST_DEVICE inline float e4m3_scale(float most) {
  constexpr float kLeast = 1e-30f;
  return (most > kLeast ? most : kLeast) / kMostE4m3;
}

}  // namespace lectern
