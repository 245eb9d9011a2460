// Any bytes as a safetensors file.
#include "base/error.h"
#include "engine/safetensors.h"
#include "kernels/reference/dequantize.h"

using namespace lectern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& [name, tensor] : read_safetensors(std::as_bytes(std::span(data, size)), "input")) {
      const auto n =
          tensor.data.size() / static_cast<size_t>(kDTypeInfo[static_cast<int>(tensor.dtype)].block_bytes);
      std::vector<float> values(n);
      dequantize(tensor.dtype, tensor.data.data(), static_cast<int64_t>(n), values.data());
    }
  } catch (const Error&) {
  }
  return 0;
}
