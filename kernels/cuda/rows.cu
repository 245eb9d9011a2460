// Kernels over rows of activations: norms, SwiGLU, gathering.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/vectors.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256;

// As many blocks as n threads' work needs, and no more than keep every processor busy: the kernels stride.
unsigned blocks_for(int64_t n) {
  constexpr int64_t kMostBlocks = 4096;
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

__device__ __forceinline__ int64_t first_index() {
  return int64_t{blockIdx.x} * kThreads + threadIdx.x;
}
__device__ __forceinline__ int64_t index_stride() {
  return int64_t{gridDim.x} * kThreads;
}

// A block a row, four numbers a load. The second reading comes from the cache.
__global__ void rmsnorm_kernel(const float* x, const float* weight, int h, float eps, __nv_bfloat16* out) {
  const int64_t row = int64_t{blockIdx.x} * h;
  const auto* from = reinterpret_cast<const float4*>(x + row);
  const auto* weights = reinterpret_cast<const float4*>(weight);
  auto* to = reinterpret_cast<uint2*>(out + row);
  float squares = 0;
  for (int c = static_cast<int>(threadIdx.x); c < h / 4; c += kThreads) {
    const float4 v = from[c];
    squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  const float scale = rsqrtf(block_sum<kThreads>(squares) / static_cast<float>(h) + eps);
  for (int c = static_cast<int>(threadIdx.x); c < h / 4; c += kThreads) {
    const float4 v = from[c], w = weights[c];
    to[c] = {pack_bf16(v.x * scale * w.x, v.y * scale * w.y),
             pack_bf16(v.z * scale * w.z, v.w * scale * w.w)};
  }
}

__device__ __forceinline__ float silu_times(float gate, float up) {
  return gate / (1.0f + __expf(-gate)) * up;  // __expf(large) is infinity, and gate / infinity is 0
}

// Eight numbers a thread; the last n % 8 one by one.
__global__ void silu_mul_kernel(__nv_bfloat16* gate, const __nv_bfloat16* up, int64_t n) {
  for (int64_t i = first_index(); i < n / 8; i += index_stride()) {
    float g[8], u[8];
    unpack_bf16x8(reinterpret_cast<const uint4*>(gate)[i], g);
    unpack_bf16x8(reinterpret_cast<const uint4*>(up)[i], u);
    for (int k = 0; k < 8; ++k) g[k] = silu_times(g[k], u[k]);
    reinterpret_cast<uint4*>(gate)[i] = pack_bf16x8(g);
  }
  for (int64_t i = n / 8 * 8 + first_index(); i < n; i += index_stride())
    gate[i] = __float2bfloat16_rn(silu_times(__bfloat162float(gate[i]), __bfloat162float(up[i])));
}

template <typename Word>
__global__ void gather_rows_kernel(const Word* x, const int32_t* rows, int64_t row_words, Word* out) {
  const Word* from = x + rows[blockIdx.x] * row_words;
  Word* to = out + blockIdx.x * row_words;
  for (int64_t i = threadIdx.x; i < row_words; i += kThreads) to[i] = from[i];
}

__global__ void check_finite_kernel(const float* x, int64_t n, int32_t* flag) {
  constexpr int kExponent = 0x7f800000;
  bool found = false;
  for (int64_t i = first_index(); i < n; i += index_stride())
    found |= (__float_as_int(x[i]) & kExponent) == kExponent;
  if (found) atomicOr(flag, 1);
}

}  // namespace

void rmsnorm(const float* x, const float* weight, int n, int h, float eps, __nv_bfloat16* out,
             cudaStream_t stream) {
  if (n > 0)
    launch(rmsnorm_kernel, dim3(static_cast<unsigned>(n)), kThreads, 0, stream, x, weight, h, eps, out);
}

void silu_mul(__nv_bfloat16* gate, const __nv_bfloat16* up, int64_t n_elements, cudaStream_t stream) {
  if (n_elements > 0)
    launch(silu_mul_kernel, blocks_for((n_elements + 7) / 8), kThreads, 0, stream, gate, up, n_elements);
}

void gather_rows(const void* x, const int32_t* rows, int n, int64_t row_bytes, void* out,
                 cudaStream_t stream) {
  if (n <= 0) return;
  const dim3 grid(static_cast<unsigned>(n));
  if (row_bytes % 16 == 0)
    launch(gather_rows_kernel<uint4>, grid, kThreads, 0, stream, static_cast<const uint4*>(x), rows,
           row_bytes / 16, static_cast<uint4*>(out));
  else
    launch(gather_rows_kernel<uint32_t>, grid, kThreads, 0, stream, static_cast<const uint32_t*>(x), rows,
           row_bytes / 4, static_cast<uint32_t*>(out));
}

void check_finite(const float* x, int64_t n, int32_t* flag, cudaStream_t stream) {
  if (n > 0) launch(check_finite_kernel, blocks_for(n), kThreads, 0, stream, x, n, flag);
}

}  // namespace lectern::cuda
