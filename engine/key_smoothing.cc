#include "engine/key_smoothing.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "engine/weight_shapes.h"
#include "kernels/reference/dequantize.h"

namespace lectern {
namespace {

// Channels of 2^16 and more are of no model that works. Within this, queries on a GPU, which are halves, stay
// finite.
constexpr int kMostDoublings = 8;

// How large the channels of a layer's keys are: the bias, and the deviation of what the projection adds, if
// the channels of its input, whose mean square the norm before it makes 1, vary alike and independently.
Vector channel_sizes(const LayerWeights& layer) {
  const Matrix& w = layer.k_proj;
  Vector sizes(static_cast<size_t>(w.rows));
  Vector row(static_cast<size_t>(w.cols));
  for (size_t r = 0; r < sizes.size(); ++r) {
    dequantize(w.dtype, w.data.data() + r * w.row_bytes(), w.cols, row.data());
    double variance = 0;
    for (size_t c = 0; c < row.size(); ++c) {
      const double weight = double{row[c]} * layer.input_layernorm[c];
      variance += weight * weight;
    }
    sizes[r] = static_cast<float>(std::abs(double{layer.k_bias[r]}) + std::sqrt(variance));
  }
  return sizes;
}

// The square root, as SmoothAttention has it: the large channels lose half of what sets them apart, so that
// the queries' products with them keep the rest of it.
float scale_of(float size) {
  if (!std::isfinite(size) || size <= 0) return 1;
  const double doublings =
      std::clamp(0.5 * std::log2(double{size}), -double{kMostDoublings}, double{kMostDoublings});
  return std::exp2f(-static_cast<float>(std::lround(doublings)));
}

KeySmoothing smoothing_of(const LayerWeights& layer, const Qwen2Config& config) {
  const auto d = static_cast<size_t>(config.head_dim), half = d / 2;
  const Vector sizes = channel_sizes(layer);
  KeySmoothing result;
  for (size_t head = 0; head < sizes.size(); head += d) {
    Vector scales(d);
    for (size_t i = 0; i < half; ++i)
      scales[i] = scales[i + half] = scale_of(std::max(sizes[head + i], sizes[head + half + i]));
    result.k.insert(result.k.end(), scales.begin(), scales.end());
    for (float& scale : scales) scale = 1 / scale;
    for (int i = 0; i < config.group_size(); ++i)
      result.q.insert(result.q.end(), scales.begin(), scales.end());
  }
  return result;
}

}  // namespace

std::vector<KeySmoothing> key_smoothing(const ModelFile& model, const std::vector<KvLayerTypes>& types) {
  const Qwen2Config& config = model.config();
  check_vectors(model);
  std::vector<KeySmoothing> result(types.size());
  for (size_t l = 0; l < types.size(); ++l) {
    if (types[l].k != KvType::kInt8) continue;
    const LayerWeights& layer = model.weights().layers[l];
    check_shape({&layer.k_proj, config.kv_size(), config.hidden_size}, model);
    result[l] = smoothing_of(layer, config);
  }
  return result;
}

}  // namespace lectern
