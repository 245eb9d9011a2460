// The safetensors container: an 8-byte header length, a JSON header, then the tensors' bytes without gaps.
// Knows nothing of models. Reads from memory and keeps views into it, so the bytes must outlive the result.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "engine/tensor.h"

namespace lectern {

// The format's own limit of the header.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

// The tensors of one file. `origin` names it in errors. Throws Error(kCorrupt), and kUnsupported for element
// types that no Qwen2 model is published in.
TensorTable read_safetensors(std::span<const std::byte> bytes, const std::string& origin);

}  // namespace lectern
