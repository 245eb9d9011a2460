// The AMX bundle's table. Weights and activations lie in memory as for the AVX2 bundle; the tile unit serves
// the quantised matmuls of many tokens.
#include "kernels/cpu/amx.h"

#include "kernels/cpu/avx2_layout.h"
#include "kernels/cpu/avx512vnni_table.h"
#include "kernels/cpu/bundles.h"
#include "kernels/cpu/cpu_features.h"

namespace lectern {
namespace amx {

// Fewer tokens leave most of a tile empty.
constexpr int kLeastTokens = 16;

void matmul(const MatmulArgs& args) {
  if (args.n_tokens < kLeastTokens) return avx512vnni::matmul(args);  // the same bit for bit
  switch (avx2::activations_of(args.w->dtype)) {
    case avx2::kFloat:
      return avx2::matmul(args);
    case avx2::kInt8Per32:
      return matmul_blocks(args);
    case avx2::kInt8Per256:
      return matmul_super_blocks(args);
  }
}

}  // namespace amx

constinit const KernelTable kAmxKernels =
    avx512vnni_table("amx", kFeatureAvx2 | kFeatureAvx512Vnni | kFeatureAmx, amx::matmul);

}  // namespace lectern
