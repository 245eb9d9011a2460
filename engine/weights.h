// Binds the tensors of a model file to their places in the model: every tensor is looked up by name and its
// shape compared with the config, and a tensor without a place is refused, since ignoring it would compute
// another model than the file holds.
#pragma once

#include <string>

#include "engine/config.h"
#include "engine/model.h"
#include "engine/tensor.h"

namespace lectern {

enum class TensorNaming { kGguf, kHuggingFace };

// The result refers to the bytes behind `tensors`. Throws Error(kCorrupt, kUnsupported) naming `origin` and
// the tensor. `config` was validated.
Weights bind_weights(const Qwen2Config& config, const TensorTable& tensors, TensorNaming naming,
                     const std::string& origin);

// The name of the token embedding, whose rows are the vocabulary, and of a head of its own.
std::string_view embedding_name(TensorNaming naming);
std::string_view head_name(TensorNaming naming);

}  // namespace lectern
