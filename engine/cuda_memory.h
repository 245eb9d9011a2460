// Memory of a CUDA device and pinned memory of the host, freed with their owner, and errors of the runtime as
// lectern::Error. Movable, not copyable.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace lectern {

// Throws Error (kResourceExhausted for memory, else kUnavailable) that names `what` was tried.
void check_cuda(cudaError_t error, const char* what);

class DeviceMemory {
 public:
  DeviceMemory() = default;
  // `purpose` ("the KV cache") and what is free are named when the device has too little.
  DeviceMemory(size_t bytes, const std::string& purpose);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Where copies to and from the device are fast and run beside the host's work.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(size_t bytes);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

class CudaStream {
 public:
  CudaStream() { check_cuda(cudaStreamCreate(&stream_), "create a stream"); }
  ~CudaStream() { cudaStreamDestroy(stream_); }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  operator cudaStream_t() const { return stream_; }
  // Also finds the errors of all launches before.
  void synchronize() const {
    check_cuda(cudaStreamSynchronize(stream_), "run the kernels");
    check_cuda(cudaGetLastError(), "launch a kernel");
  }

 private:
  cudaStream_t stream_ = nullptr;
};

class CudaEvent {
 public:
  CudaEvent() { check_cuda(cudaEventCreate(&event_), "create an event"); }
  ~CudaEvent() { cudaEventDestroy(event_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// Device memory for T that grows when more is asked for and forgets what it held. Whoever keeps addresses of
// it compares `generation`, which counts the growths.
template <typename T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(const char* purpose) : purpose_(purpose) {}

  T* at_least(size_t n) {
    if (n * sizeof(T) > memory_.size()) {
      memory_ = DeviceMemory();  // before, so that both need not fit
      memory_ = DeviceMemory(n * sizeof(T), purpose_);
      ++generation_;
    }
    return data();
  }
  T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  size_t size() const { return memory_.size() / sizeof(T); }
  int generation() const { return generation_; }

 private:
  const char* purpose_;
  DeviceMemory memory_;
  int generation_ = 0;
};

}  // namespace lectern
