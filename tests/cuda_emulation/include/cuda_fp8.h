// A stand-in for the CUDA Toolkit's 8-bit floats (e4m3, without infinities); see cuda_runtime.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

using __nv_fp8_storage_t = unsigned char;
enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };

struct __nv_fp8_e4m3 {
  __nv_fp8_storage_t __x = 0;
  __nv_fp8_e4m3() = default;
  explicit __nv_fp8_e4m3(float value) {  // nearest even, saturating at 448
    if (std::isnan(value)) {
      __x = 0x7f;
      return;
    }
    const int sign = std::signbit(value) ? 0x80 : 0;
    const float size = std::min(std::abs(value), 448.0f);
    int exponent = size > 0 ? std::max(std::ilogb(size), -6) : -6;
    auto mantissa = static_cast<int>(std::nearbyint(std::ldexp(size, 3 - exponent)));  // 8..16, or fewer
    if (mantissa == 16) {
      mantissa = 8;
      ++exponent;
    }
    const int bits = mantissa < 8 ? mantissa : ((exponent + 7) << 3) | (mantissa - 8);
    __x = static_cast<__nv_fp8_storage_t>(sign | std::min(bits, 0x7e));
  }
  explicit operator float() const {
    const int exponent = __x >> 3 & 15, mantissa = __x & 7;
    if ((__x & 0x7f) == 0x7f) return std::nanf("");
    const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                     : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    return (__x & 0x80) != 0 ? -size : size;
  }
};
