#include "engine/cuda_memory.h"

#include "base/error.h"
#include "engine/memory.h"

namespace lectern {

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw Error(error == cudaErrorMemoryAllocation ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
              std::string("the CUDA device cannot ") + what + ": " + cudaGetErrorString(error) +
                  "; --device cpu does without it");
}

namespace {

void* device_memory(size_t bytes, const std::string& purpose) {
  void* at = nullptr;
  if (bytes == 0 || cudaMalloc(&at, bytes) == cudaSuccess) return at;
  cudaGetLastError();  // seen
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  throw Error(ErrorCode::kResourceExhausted,
              purpose + " needs " + describe_bytes(static_cast<double>(bytes)) +
                  " of the CUDA device's memory and " + describe_bytes(static_cast<double>(free)) +
                  " are free; use a smaller context or model, --kv int8, or --device cpu");
}

void* pinned_memory(size_t bytes) {
  void* at = nullptr;
  check_cuda(cudaMallocHost(&at, bytes), "pin memory of the host");
  return at;
}

}  // namespace

DeviceMemory::DeviceMemory(size_t bytes, const std::string& purpose)
    : CudaMemory(device_memory(bytes, purpose), bytes) {}

PinnedMemory::PinnedMemory(size_t bytes) : CudaMemory(pinned_memory(bytes), bytes) {}

}  // namespace lectern
