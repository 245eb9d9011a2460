// The table that the bundles with AVX-512 share. Only for the files that define a table.
#pragma once

#include "kernels/cpu/avx2_table.h"
#include "kernels/cpu/avx512vnni.h"

namespace lectern {

// The AVX-512 VNNI bundle with another product.
constexpr KernelTable avx512vnni_table(const char* name, uint32_t required_features,
                                       void (*matmul)(const MatmulArgs& args)) {
  KernelTable table = avx2_table(name, required_features, matmul);
  table.attention_scratch_bytes = avx512vnni::attention_scratch_bytes;
  table.attention = avx512vnni::attention;
  return table;
}

}  // namespace lectern
