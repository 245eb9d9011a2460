// A stand-in for the header of the CUDA Toolkit: what kernels/cuda and engine/cuda_* use of it, on the host.
// Kernels compiled with it run block by block; the threads of a block are fibers that take turns at barriers
// (emulation.h). Everything is synchronous; there is one device, whose memory is the host's.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/cuda_emulation/emulation.h"
#include "vector_types.h"

#define LECTERN_CUDA_EMULATION 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static  // blocks run one after the other
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
// Of the fiber that runs.
#define threadIdx (lectern::emulation::this_thread().thread)
#define blockIdx (lectern::emulation::this_thread().block)
#define blockDim (lectern::emulation::this_thread().block_size)
#define gridDim (lectern::emulation::this_thread().grid_size)

inline constexpr int warpSize = 32;
inline void __syncthreads() {
  lectern::emulation::block_barrier();
}
inline void __syncwarp(unsigned = 0xffffffffu) {
  lectern::emulation::warp_barrier();
}
template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return lectern::emulation::shuffle(value, lane & 31);
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return lectern::emulation::shuffle(value, lectern::emulation::lane() ^ mask);
}
template <typename T>
T __shfl_down_sync(unsigned, T value, unsigned delta) {
  const int lane = lectern::emulation::lane() + static_cast<int>(delta);
  return lectern::emulation::shuffle(value, lane < 32 ? lane : lectern::emulation::lane());
}
// Byte i of the result is byte (selector >> 4i & 7) of the eight bytes of x, then y.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t bytes = uint64_t{y} << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i)
    result |= (static_cast<unsigned>(bytes >> (8 * (selector >> (4 * i) & 7))) & 0xffu) << (8 * i);
  return result;
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  return lectern::emulation::ballot(predicate != 0);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
// Fibers change only at barriers, so a plain read and write is atomic.
template <typename T>
T atomicAdd(T* at, T value) {
  const T old = *at;
  *at = old + value;
  return old;
}
template <typename T>
T atomicMax(T* at, T value) {
  const T old = *at;
  *at = std::max(old, value);
  return old;
}
template <typename T>
T atomicOr(T* at, T value) {
  const T old = *at;
  *at = old | value;
  return old;
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline int __float2int_rn(float x) {
  return static_cast<int>(std::nearbyint(x));
}
template <typename T>
T __ldg(const T* at) {
  return *at;
}
using std::max;
using std::min;

// ---- The runtime's host side ----
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorInvalidDevice = 101
};
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
  size_t sharedMemPerBlockOptin;
};

const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
// For tests: what cudaMemGetInfo says is free, and what cudaMalloc refuses to exceed.
void emulate_device_memory(size_t bytes);
cudaError_t cudaMalloc(void** at, size_t bytes);
cudaError_t cudaFree(void* at);
cudaError_t cudaMallocHost(void** at, size_t bytes);
cudaError_t cudaFreeHost(void* at);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);

// ---- Graphs: what a stream would have run while it was captured ----
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
using cudaGraph_t = struct EmulatedGraph*;
using cudaGraphExec_t = struct EmulatedGraph*;
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

// Runs `work` now, or when the graph runs that is being captured.
void emulate_enqueue(cudaStream_t stream, std::function<void()> work);

namespace lectern::cuda {

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
  emulate_enqueue(stream, [=] {
    emulation::run({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes,
                   [&] { kernel(arguments...); });
  });
}
inline std::byte* dynamic_shared() {
  return emulation::dynamic_shared();
}
// As in kernels/cuda/instructions.cuh.
inline float exp2_fast(float x) {
  return std::exp2(x);
}
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void ldmatrix_x4(uint32_t (&r)[4], const void* row);
void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row);
inline void cp_async_16(void* shared, const void* global) {
  emulation::defer_copy(shared, global, 16);
}
inline void cp_async_16(void* shared, const void* global, int n) {
  static constexpr std::byte kZeros[16] = {};
  const auto n_bytes = static_cast<size_t>(n);
  emulation::defer_copy(shared, global, n_bytes);
  emulation::defer_copy(static_cast<std::byte*>(shared) + n_bytes, kZeros, 16 - n_bytes);
}
inline void cp_async_commit() {
  emulation::commit_copies();
}
template <int kGroupsLeft>
void cp_async_wait() {
  emulation::wait_copies(kGroupsLeft);
}

}  // namespace lectern::cuda
