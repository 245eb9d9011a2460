// Eight bfloat16 numbers as the 16 bytes that one instruction loads or stores.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

namespace lectern::cuda {

// The bits of two numbers, the first in the low half.
__device__ __forceinline__ uint32_t pack_bf16(float x, float y) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
  uint32_t bits;
  std::memcpy(&bits, &pair, sizeof(bits));
  return bits;
}
__device__ __forceinline__ uint4 pack_bf16x8(const float (&x)[8]) {
  return {pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7])};
}

// A bfloat16 is the upper half of a float.
__device__ __forceinline__ void unpack_bf16(uint32_t bits, float& x, float& y) {
  x = __uint_as_float(bits << 16);
  y = __uint_as_float(bits & 0xffff0000u);
}
__device__ __forceinline__ void unpack_bf16x8(const uint4& bits, float (&x)[8]) {
  unpack_bf16(bits.x, x[0], x[1]);
  unpack_bf16(bits.y, x[2], x[3]);
  unpack_bf16(bits.z, x[4], x[5]);
  unpack_bf16(bits.w, x[6], x[7]);
}

}  // namespace lectern::cuda
