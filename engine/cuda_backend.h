// Inference on a CUDA device. Compiled where LECTERN_CUDA is on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"

namespace lectern {

struct CudaDevice {
  std::string name;
  int index = 0;
  int major = 0, minor = 0;  // compute capability
  uint64_t memory_bytes = 0, free_bytes = 0;
};

// What the driver lists; empty without a driver or a device.
std::vector<CudaDevice> cuda_devices();
// Why there is none, for people: no driver, one that is too old, or no device.
std::string why_no_cuda_device();

// Copies the weights to device `index`; progress in bytes. Throws Error: kUnavailable where there is no such
// device, kResourceExhausted where its memory does not hold the weights and the cache, kUnsupported for heads
// that the kernels cannot take.
std::unique_ptr<Backend> make_cuda_backend(std::shared_ptr<const ModelFile> model, int index,
                                           const BackendOptions& options, const ProgressFn& progress);

}  // namespace lectern
