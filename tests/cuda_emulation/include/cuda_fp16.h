// A stand-in for the CUDA Toolkit's half precision numbers; see cuda_runtime.h.
#pragma once

#include "kernels/reference/dequantize.h"
#include "vector_types.h"

struct __half {
  uint16_t bits;
};
struct __half2 {
  __half x, y;
};
using half = __half;
using half2 = __half2;

inline float __half2float(__half value) {
  return lectern::half_to_float(value.bits);
}
inline __half __float2half_rn(float value) {
  return {lectern::float_to_half(value)};
}
inline __half2 __floats2half2_rn(float x, float y) {
  return {__float2half_rn(x), __float2half_rn(y)};
}
inline __half2 __float2half2_rn(float x) {
  return __floats2half2_rn(x, x);
}
inline __half2 __hsub2(__half2 a, __half2 b) {
  return __floats2half2_rn(__half2float(a.x) - __half2float(b.x), __half2float(a.y) - __half2float(b.y));
}
inline __half2 __hmul2(__half2 a, __half2 b) {
  return __floats2half2_rn(__half2float(a.x) * __half2float(b.x), __half2float(a.y) * __half2float(b.y));
}
inline float2 __half22float2(__half2 value) {
  return {__half2float(value.x), __half2float(value.y)};
}
inline __half __ushort_as_half(unsigned short bits) {
  return {bits};
}
