// Numbers of any file format to float: the truth the packed kernels are tested against, and the embedding
// look-up. Thread-safe; allocates nothing; cannot fail.
#pragma once

#include <cstdint>

#include "kernels/common/types.h"

namespace lectern {

float half_to_float(uint16_t half);
uint16_t float_to_half(float value);  // round to nearest even
float bf16_to_float(uint16_t bf16);

// out[0..n) = the values of n consecutive elements at `src`; n is a multiple of the format's block.
void dequantize(DType dtype, const void* src, int64_t n, float* out);

}  // namespace lectern
