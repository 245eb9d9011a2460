// Kernels over rows of activations: norms, SwiGLU, gathering.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void rmsnorm_kernel(const float* x, const float* weight, int h, float eps, __nv_bfloat16* out) {
  const int64_t row = int64_t{blockIdx.x} * h;
  float squares = 0;
  for (int c = static_cast<int>(threadIdx.x); c < h; c += kThreads) squares += x[row + c] * x[row + c];
  const float scale = rsqrtf(block_sum<kThreads>(squares) / static_cast<float>(h) + eps);
  for (int c = static_cast<int>(threadIdx.x); c < h; c += kThreads)
    out[row + c] = __float2bfloat16_rn(x[row + c] * scale * weight[c]);
}

}  // namespace

void rmsnorm(const float* x, const float* weight, int n, int h, float eps, __nv_bfloat16* out,
             cudaStream_t stream) {
  if (n > 0) launch(rmsnorm_kernel, dim3(static_cast<unsigned>(n)), kThreads, 0, stream, x, weight, h, eps, out);
}

}  // namespace lectern::cuda
