// Tells models apart by what they compute. Safe to call from any thread.
#pragma once

#include <array>
#include <cstddef>

#include "engine/model_file.h"

namespace lectern {

using ModelFingerprint = std::array<std::byte, 32>;

// Of the config, every weight and the vocabulary: equal for copies of a model whatever their path, different
// for any change, such as another quantisation. Reads the whole file, at about the speed of memory.
ModelFingerprint fingerprint(const ModelFile& model);

}  // namespace lectern
