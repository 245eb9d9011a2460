// Matrices as they lie in a model file, made into plain numbers; activations made into bytes for fp8
// products.
#include <cuda_fp8.h>

#include "kernels/cuda/block_formats.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/vectors.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256;
constexpr float kLargestE4m3 = 448.0f;

// A block a token, eight numbers a thread.
template <DType kType>
__global__ void embed_kernel(const std::byte* table, int64_t row_bytes, int cols, const int32_t* tokens,
                             float* out) {
  const std::byte* row = table + tokens[blockIdx.x] * row_bytes;
  auto* to = reinterpret_cast<float4*>(out + int64_t{blockIdx.x} * cols);
  for (int i = static_cast<int>(threadIdx.x); i < cols / 8; i += kThreads) {
    float w[8];
    decode8<kType>(row, i, w);
    to[2 * i] = make_float4(w[0], w[1], w[2], w[3]);
    to[2 * i + 1] = make_float4(w[4], w[5], w[6], w[7]);
  }
}

template <DType kType>
__global__ void expand_kernel(const std::byte* w, int64_t n_eights, uint4* out) {
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n_eights;
       i += int64_t{gridDim.x} * kThreads) {
    float values[8];
    decode8<kType>(w, i, values);
    out[i] = pack_bf16x8(values);
  }
}

// A block a row, eight numbers a thread. The largest number becomes the largest byte.
__global__ void quantize_e4m3_kernel(const __nv_bfloat16* x, int cols, uint8_t* out, float* scales) {
  __shared__ float largest_of[kThreads / 32];
  const auto* from = reinterpret_cast<const uint4*>(x + int64_t{blockIdx.x} * cols);
  auto* to = reinterpret_cast<uint2*>(out + int64_t{blockIdx.x} * cols);
  float largest = 0.0f, poison = 0.0f;  // 0 or NaN, so that a NaN or an infinity is not lost
  for (int i = static_cast<int>(threadIdx.x); i < cols / 8; i += kThreads) {
    float v[8];
    unpack_bf16x8(from[i], v);
    for (int k = 0; k < 8; ++k) {
      largest = fmaxf(largest, fabsf(v[k]));
      poison += v[k] * 0.0f;
    }
  }
  largest = warp_max(largest);
  if (threadIdx.x % 32 == 0) largest_of[threadIdx.x / 32] = largest;
  poison = block_sum<kThreads>(poison);  // its barriers make largest_of visible too
  for (int i = 0; i < kThreads / 32; ++i) largest = fmaxf(largest, largest_of[i]);
  // Rows of (nearly) nothing keep a scale whose inverse is finite.
  const float scale = fmaxf(largest, 1e-30f) / kLargestE4m3, inverse = kLargestE4m3 / fmaxf(largest, 1e-30f);
  if (threadIdx.x == 0) scales[blockIdx.x] = scale + poison;
  for (int i = static_cast<int>(threadIdx.x); i < cols / 8; i += kThreads) {
    float v[8];
    unpack_bf16x8(from[i], v);
    uint32_t words[2] = {0, 0};
    for (int k = 0; k < 8; ++k) words[k / 4] |= uint32_t{__nv_fp8_e4m3(v[k] * inverse).__x} << (8 * (k % 4));
    to[i] = {words[0], words[1]};
  }
}

}  // namespace

void embed(DType dtype, const void* table, int cols, const int32_t* tokens, int n, float* out,
           cudaStream_t stream) {
  if (n <= 0) return;
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
  const int64_t row_bytes = int64_t{cols} / info.block_elements * info.block_bytes;
  with_dtype(dtype, [&]<DType kType>() {
    launch(embed_kernel<kType>, dim3(static_cast<unsigned>(n)), kThreads, 0, stream,
           static_cast<const std::byte*>(table), row_bytes, cols, tokens, out);
  });
}

void expand(DType dtype, const void* w, int64_t n_elements, __nv_bfloat16* out, cudaStream_t stream) {
  if (n_elements <= 0) return;
  constexpr int64_t kMostBlocks = 1 << 16;
  const int64_t blocks = (n_elements / 8 + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
  with_dtype(dtype, [&]<DType kType>() {
    launch(expand_kernel<kType>, grid, kThreads, 0, stream, static_cast<const std::byte*>(w), n_elements / 8,
           reinterpret_cast<uint4*>(out));
  });
}

void quantize_e4m3(const __nv_bfloat16* x, int n, int cols, uint8_t* out, float* scales,
                   cudaStream_t stream) {
  if (n > 0)
    launch(quantize_e4m3_kernel, dim3(static_cast<unsigned>(n)), kThreads, 0, stream, x, cols, out, scales);
}

}  // namespace lectern::cuda
