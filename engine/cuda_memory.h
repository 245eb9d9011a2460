// Memory of a CUDA device and pinned memory of the host, freed with their owner, and errors of the runtime as
// lectern::Error. Movable, not copyable.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <string>

namespace lectern {

// Throws Error (kResourceExhausted for memory, else kUnavailable) that names `what` was tried.
void check_cuda(cudaError_t error, const char* what);

// Bytes that `Free` gives back.
template <typename Free>
class CudaMemory {
 public:
  CudaMemory() = default;

  std::byte* data() const { return data_.get(); }
  size_t size() const { return data_ == nullptr ? 0 : size_; }

 protected:
  CudaMemory(void* data, size_t size) : data_(static_cast<std::byte*>(data)), size_(size) {}

 private:
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

struct FreeDeviceMemory {
  void operator()(std::byte* data) const { cudaFree(data); }
};
struct FreePinnedMemory {
  void operator()(std::byte* data) const { cudaFreeHost(data); }
};

class DeviceMemory : public CudaMemory<FreeDeviceMemory> {
 public:
  DeviceMemory() = default;
  // `purpose` ("the KV cache") and what is free are named when the device has too little.
  DeviceMemory(size_t bytes, const std::string& purpose);
};

// Where copies to and from the device are fast and run beside the host's work.
class PinnedMemory : public CudaMemory<FreePinnedMemory> {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(size_t bytes);
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
