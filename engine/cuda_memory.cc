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

DeviceMemory::DeviceMemory(size_t bytes, const std::string& purpose) {
  if (bytes == 0) return;
  void* at = nullptr;
  if (cudaMalloc(&at, bytes) != cudaSuccess) {
    cudaGetLastError();  // seen
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(ErrorCode::kResourceExhausted,
                purpose + " needs " + describe_bytes(static_cast<double>(bytes)) +
                    " of the CUDA device's memory and " + describe_bytes(static_cast<double>(free)) +
                    " are free; use a smaller context or model, --kv int8, or --device cpu");
  }
  data_ = static_cast<std::byte*>(at);
  size_ = bytes;
}

DeviceMemory::~DeviceMemory() {
  cudaFree(data_);
}

PinnedMemory::PinnedMemory(size_t bytes) : size_(bytes) {
  void* at = nullptr;
  check_cuda(cudaMallocHost(&at, bytes), "pin memory of the host");
  data_ = static_cast<std::byte*>(at);
}

PinnedMemory::~PinnedMemory() {
  cudaFreeHost(data_);
}

}  // namespace lectern
