#include "engine/device.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "engine/kv_layout.h"

namespace lectern {
namespace {

constexpr std::string_view kCudaPrefix = "cuda:";
// The kernels use what came with compute capability 8.0: asynchronous copies and bfloat16 products.
constexpr int kLeastMajor = 8;
// Of a cache whose size nobody has asked for: less than this is not worth a device of its own.
constexpr int kLeastKvTokens = 8192;
// Activations, and what the CUDA libraries take for themselves.
constexpr uint64_t kRoomToWork = uint64_t{1} << 30;

bool can_run(const CudaDevice& device) {
  return device.major >= kLeastMajor;
}

std::string capability(const CudaDevice& device) {
  return std::to_string(device.major) + "." + std::to_string(device.minor);
}

// The one that was asked for.
Device find_device(int index, const CudaPresence& cuda) {
  const auto found = std::ranges::find(cuda.devices, index, &CudaDevice::index);
  if (found == cuda.devices.end()) {
    const std::string why =
        !cuda.devices.empty() ? "lectern doctor lists those that are there" : cuda.why_none;
    throw Error(ErrorCode::kUnavailable, "there is no CUDA device " + std::to_string(index) + ": " + why +
                                             "; --device cpu does without one");
  }
  if (!can_run(*found)) {
    throw Error(ErrorCode::kUnavailable, "the CUDA device " + std::to_string(index) + ", " + found->name +
                                             ", has compute capability " + capability(*found) + " and " +
                                             std::to_string(kLeastMajor) +
                                             ".0 is needed; --device cpu does without it");
  }
  return {Device::Kind::kCuda, index};
}

#ifdef LECTERN_CUDA

// What another device may still do.
bool is_of_device(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kResourceExhausted ||
         code == ErrorCode::kUnsupported;
}

#endif

}  // namespace

Device parse_device(std::string_view text) {
  if (text == "auto") return {.kind = Device::Kind::kAuto};
  if (text == "cpu") return {.kind = Device::Kind::kCpu};
  if (text == "cuda") return {.kind = Device::Kind::kCuda};
  if (text.starts_with(kCudaPrefix)) {
    const std::string_view digits = text.substr(kCudaPrefix.size());
    const char* last = digits.data() + digits.size();
    Device device{.kind = Device::Kind::kCuda};
    const auto [end, error] = std::from_chars(digits.data(), last, device.index);
    if (error == std::errc() && end == last && device.index >= 0) return device;
  }
  throw Error(ErrorCode::kInvalidArgument, "device '" + std::string(text) +
                                               "': must be auto, cpu, cuda, or cuda:N for the device of that "
                                               "number (lectern doctor lists them)");
}

CudaPresence find_cuda() {
#ifdef LECTERN_CUDA
  CudaPresence cuda{.devices = cuda_devices(), .why_none = {}};
  if (cuda.devices.empty()) cuda.why_none = why_no_cuda_device();
  return cuda;
#else
  return {.devices = {}, .why_none = "this lectern was built without CUDA; build it with -DLECTERN_CUDA=ON"};
#endif
}

Device choose_device(const Device& asked, const CudaPresence& cuda, uint64_t wanted_bytes) {
  switch (asked.kind) {
    case Device::Kind::kCpu:
      return asked;
    case Device::Kind::kCuda:
      return find_device(asked.index, cuda);
    case Device::Kind::kAuto:
      break;
  }
  const auto found = std::ranges::find_if(cuda.devices, [&](const CudaDevice& device) {
    return can_run(device) && device.free_bytes >= wanted_bytes;
  });
  if (found == cuda.devices.end()) return {};
  return {Device::Kind::kCuda, found->index};
}

uint64_t device_bytes(const ModelFile& model, const BackendOptions& options) {
  const auto types = kv_layer_types(model.config(), options.kv_type);
  const int64_t kv_tokens =
      options.kv_tokens > 0 ? options.kv_tokens : std::min(model.config().context_tokens(), kLeastKvTokens);
  return model.file_bytes() + static_cast<uint64_t>(kv_tokens * kv_bytes_per_token(model.config(), types)) +
         kRoomToWork;
}

std::unique_ptr<Backend> make_backend(std::shared_ptr<const ModelFile> model, const Device& asked,
                                      const BackendOptions& options, const ProgressFn& progress) {
  if (asked.kind != Device::Kind::kCpu) {
    const Device chosen = choose_device(asked, find_cuda(), device_bytes(*model, options));
#ifdef LECTERN_CUDA
    if (chosen.kind == Device::Kind::kCuda) {
      try {
        return make_cuda_backend(model, chosen.index, options, progress);
      } catch (const Error& error) {
        if (asked.kind != Device::Kind::kAuto || !is_of_device(error.code())) throw;
      }
    }
#else
    LECTERN_CHECK(chosen.kind == Device::Kind::kCpu);
#endif
  }
  return make_cpu_backend(std::move(model), options, progress);
}

}  // namespace lectern
