// Where a model runs: what people ask for, and the choice among the devices that are there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/backend.h"
#include "engine/cuda_backend.h"

namespace lectern {

struct Device {
  enum class Kind {
    kCpu,
    kCuda,
    kAuto,  // the first CUDA device that has room for the model, else the CPU
  };
  Kind kind = Kind::kCpu;
  int index = 0;  // kCuda: which one, as the driver counts

  bool operator==(const Device&) const = default;
};

// "auto", "cpu", "cuda" (the first) or "cuda:1". Throws Error(kInvalidArgument) that names the text and what
// is possible.
Device parse_device(std::string_view text);

struct CudaPresence {
  std::vector<CudaDevice> devices;
  std::string why_none;  // for people; empty where there are devices
};
// Asks the driver, which takes a moment.
CudaPresence find_cuda();

// The CPU or a CUDA device; of `wanted` bytes of memory for the model. Throws Error(kUnavailable) when a CUDA
// device is asked for that is not there or is too old for the kernels; too little memory on it is for its
// backend to say.
Device choose_device(const Device& asked, const CudaPresence& cuda, uint64_t wanted_bytes);

// What a model takes on a device, about: weights, cache, and room to work in.
uint64_t device_bytes(const ModelFile& model, const BackendOptions& options);

// The backend of the device that is chosen. kAuto goes on to the CPU when the CUDA device cannot take the
// model after all; Backend::describe says where it runs. Throws as the backends do.
std::unique_ptr<Backend> make_backend(std::shared_ptr<const ModelFile> model, const Device& asked,
                                      const BackendOptions& options, const ProgressFn& progress);

}  // namespace lectern
