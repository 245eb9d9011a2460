#include "engine/cuda_backend.h"

#include "base/error.h"
#include "engine/cuda_forward.h"

namespace lectern {

std::vector<CudaDevice> cuda_devices() {
  int n = 0;
  if (cudaGetDeviceCount(&n) != cudaSuccess) {
    cudaGetLastError();  // no driver, or none that fits: no device
    return {};
  }
  std::vector<CudaDevice> devices;
  for (int index = 0; index < n; ++index) {
    cudaDeviceProp properties;
    size_t free = 0, total = 0;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess || cudaSetDevice(index) != cudaSuccess ||
        cudaMemGetInfo(&free, &total) != cudaSuccess) {
      cudaGetLastError();
      continue;
    }
    devices.push_back({.name = properties.name,
                       .index = index,
                       .major = properties.major,
                       .minor = properties.minor,
                       .memory_bytes = properties.totalGlobalMem,
                       .free_bytes = free});
  }
  return devices;
}

std::string why_no_cuda_device() {
  int driver = 0, runtime = 0, n = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    cudaGetLastError();
    return "no NVIDIA driver is loaded";
  }
  cudaRuntimeGetVersion(&runtime);
  const auto version = [](int number) {  // 13000: 13.0
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  const cudaError_t error = cudaGetDeviceCount(&n);
  cudaGetLastError();
  if (error == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is for CUDA " + version(driver) + " and this lectern was built with CUDA " +
           version(runtime) + "; a newer driver is needed";
  return error == cudaSuccess ? "no NVIDIA GPU is visible" : cudaGetErrorString(error);
}

std::unique_ptr<Backend> make_cuda_backend(std::shared_ptr<const ModelFile> model, int index,
                                           const BackendOptions& options, const ProgressFn& progress) {
  int n = 0;
  if (cudaGetDeviceCount(&n) != cudaSuccess) n = 0;
  if (index < 0 || index >= n) {
    throw Error(ErrorCode::kUnavailable, "there is no CUDA device " + std::to_string(index) + ": " +
                                             (n == 0 ? "none was found" : std::to_string(n) + " were found") +
                                             "; --device cpu does without one");
  }
  return std::make_unique<CudaBackend>(std::move(model), index, options, progress);
}

}  // namespace lectern
