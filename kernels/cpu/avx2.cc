// The AVX2 bundle's table.
#include "kernels/cpu/avx2_table.h"

#include "kernels/cpu/bundles.h"
#include "kernels/cpu/cpu_features.h"

namespace lectern {

constinit const KernelTable kAvx2Kernels = avx2_table("avx2", kFeatureAvx2, avx2::matmul);

}  // namespace lectern
