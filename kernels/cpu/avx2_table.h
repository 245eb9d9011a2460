// The table that the x86 bundles share: what wider instructions do not speed up is the AVX2 bundle's in all
// of them, and so are the layouts of weights and activations. Only for the files that define a table.
#pragma once

#include "kernels/cpu/avx2.h"
#include "kernels/cpu/kernel_table.h"

namespace lectern {

// The AVX2 bundle with another product.
constexpr KernelTable avx2_table(const char* name, uint32_t required_features,
                                 void (*matmul)(const MatmulArgs& args)) {
  return {
      .name = name,
      .required_features = required_features,
      .numerics = "avx2",
      .row_tile_bytes = avx2::row_tile_bytes,
      .pack = avx2::pack,
      .activation_bytes = avx2::activation_bytes,
      .quantize = avx2::quantize,
      .activation_format = avx2::activation_format,
      .matmul = matmul,
      .attention_scratch_bytes = avx2::attention_scratch_bytes,
      .attention = avx2::attention,
      .page_mean = avx2::page_mean,
      .dots = avx2::dots,
      .rmsnorm = avx2::rmsnorm,
      .rope = avx2::rope,
      .silu_mul = avx2::silu_mul,
      .add = avx2::add,
      .add_scaled = avx2::add_scaled,
      .to_half = avx2::to_half,
      .to_int8 = avx2::to_int8,
      .softmax = avx2::softmax,
  };
}

}  // namespace lectern
