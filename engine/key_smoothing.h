// Channels of the keys that are far larger than the others, as Qwen2's biases make them, take the steps of a
// byte for themselves. Scaling the two channels of a rotated pair alike commutes with the rotation, so keys
// can be flattened before they are rounded, and queries stretched in turn, without a change of their
// products: SmoothAttention (QServe, arXiv:2405.04532), whose scales here come from the weights alone.
#pragma once

#include <vector>

#include "engine/kv_cache.h"
#include "engine/model_file.h"

namespace lectern {

// What keys and queries of a layer are multiplied by before they are rotated: powers of two, which round
// nothing. Both empty where the layer's K is kept as halves.
struct KeySmoothing {
  Vector k;  // [kv]
  Vector q;  // [q]: of every query head the inverse of its KV head's
};

// By layer; `types` are those of kv_layer_types(). Reads the key projections of the layers that it smooths,
// so it is best called before the weights are loaded, which gives their pages back. Throws Error(kCorrupt)
// where a tensor has not the shape that the config gives it.
std::vector<KeySmoothing> key_smoothing(const ModelFile& model, const std::vector<KvLayerTypes>& types);

}  // namespace lectern
