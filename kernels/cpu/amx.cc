// The AMX bundle's table. Weights and activations lie in memory as for the AVX2 bundle; the tile unit serves
// the quantised matmuls of many tokens.
#include "kernels/cpu/amx.h"

#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_layout.h"
#include "kernels/cpu/avx512vnni.h"
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

constinit const KernelTable kAmxKernels = {
    .name = "amx",
    .required_features = kFeatureAvx2 | kFeatureAvx512Vnni | kFeatureAmx,
    .row_tile_bytes = avx2::row_tile_bytes,
    .pack = avx2::pack,
    .activation_bytes = avx2::activation_bytes,
    .quantize = avx2::quantize,
    .activation_format = avx2::activation_format,
    .matmul = amx::matmul,
    .attention_scratch_bytes = avx2::attention_scratch_bytes,
    .attention = avx2::attention,
    .rmsnorm = avx2::rmsnorm,
    .rope = avx2::rope,
    .silu_mul = avx2::silu_mul,
    .add = avx2::add,
    .add_scaled = avx2::add_scaled,
    .to_half = avx2::to_half,
    .softmax = avx2::softmax,
};

}  // namespace lectern
