// Device memory for tests of kernels, and back.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <stdexcept>
#include <vector>

namespace lectern::test {

inline void must(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// True where the kernels can run: always when emulated.
inline bool has_device() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
}

template <typename T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t n) : n_(n) {
    must(cudaMalloc(reinterpret_cast<void**>(&data_), n * sizeof(T)));
  }
  explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(values.size()) {
    must(cudaMemcpyAsync(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice, nullptr));
    must(cudaStreamSynchronize(nullptr));
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> result(n_);
    must(cudaMemcpyAsync(result.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost, nullptr));
    must(cudaStreamSynchronize(nullptr));
    must(cudaGetLastError());
    return result;
  }

 private:
  T* data_ = nullptr;
  size_t n_;
};

// At the start of every test case of kernels.
#define LECTERN_NEEDS_DEVICE() \
  if (!lectern::test::has_device()) LECTERN_SKIP("no CUDA device")

}  // namespace lectern::test
