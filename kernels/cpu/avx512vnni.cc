// The AVX-512 VNNI bundle's table. Weights and activations lie in memory as for the AVX2 bundle, whose
// functions do all that wider vectors do not speed up.
#include "kernels/cpu/avx512vnni.h"

#include "kernels/cpu/avx2_layout.h"
#include "kernels/cpu/avx512vnni_table.h"
#include "kernels/cpu/bundles.h"
#include "kernels/cpu/cpu_features.h"

namespace lectern {
namespace avx512vnni {

void matmul(const MatmulArgs& args) {
  const avx2::Activations activations = avx2::activations_of(args.w->dtype);
  if (activations == avx2::kFloat) return avx2::matmul(args);
  // Few tokens wait for the weights: rows in pairs of tiles are two streams, which took 1.5 times as long
  // from memory.
  if (args.n_tokens <= avx2::kFewTokens) return matmul_few(args);
  return activations == avx2::kInt8Per32 ? matmul_blocks(args) : matmul_super_blocks(args);
}

}  // namespace avx512vnni

constinit const KernelTable kAvx512VnniKernels =
    avx512vnni_table("avx512vnni", kFeatureAvx2 | kFeatureAvx512Vnni, avx512vnni::matmul);

}  // namespace lectern
