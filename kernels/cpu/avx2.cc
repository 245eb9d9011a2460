// The AVX2 bundle's table.
#include "kernels/cpu/avx2.h"

#include "kernels/cpu/bundles.h"
#include "kernels/cpu/cpu_features.h"

namespace lectern {

constinit const KernelTable kAvx2Kernels = {
    .name = "avx2",
    .required_features = kFeatureAvx2,
    .row_tile_bytes = avx2::row_tile_bytes,
    .pack = avx2::pack,
    .activation_bytes = avx2::activation_bytes,
    .quantize = avx2::quantize,
    .activation_format = avx2::activation_format,
    .matmul = avx2::matmul,
    .attention_scratch_bytes = avx2::attention_scratch_bytes,
    .attention = avx2::attention,
    .rmsnorm = avx2::rmsnorm,
    .rope = avx2::rope,
    .silu_mul = avx2::silu_mul,
    .add = avx2::add,
    .add_scaled = avx2::add_scaled,
    .to_half = avx2::to_half,
    .to_int8 = avx2::to_int8,
    .softmax = avx2::softmax,
};

}  // namespace lectern
