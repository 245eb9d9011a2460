// Random weights and activations in every format.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/types.h"

namespace lectern {

inline std::vector<DType> all_dtypes() {
  std::vector<DType> dtypes;
  for (int i = 0; i < kDTypeCount; ++i) dtypes.push_back(static_cast<DType>(i));
  return dtypes;
}

inline const DTypeInfo& info_of(DType dtype) {
  return kDTypeInfo[static_cast<int>(dtype)];
}

// Any bit pattern that a quantiser could have written: random quants, scales and minima of moderate size.
std::vector<uint8_t> random_weights(DType dtype, int32_t rows, int32_t cols, uint32_t seed);

// All bytes the same, except scales and minima d and m of blocks, which are as above.
std::vector<uint8_t> extreme_weights(DType dtype, int32_t rows, int32_t cols, uint8_t byte, uint32_t seed);

std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1.0f);

// Activations that 8 bits hold exactly: integers of [-127, 127] over a power of two, with a 127 in every 32.
std::vector<float> exact_activations(int32_t n_tokens, int32_t cols, uint32_t seed);

}  // namespace lectern
