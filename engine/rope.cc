#include "engine/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lectern {
namespace {

// YaRN leaves dimensions that turn more than kFastRotations times within the original context as they are,
// and slows those that turn less than kSlowRotations times by the full factor; between them it interpolates.
constexpr double kFastRotations = 32.0;
constexpr double kSlowRotations = 1.0;

// The (fractional) dimension whose angle turns `rotations` times over the original context.
double dimension_of_rotations(double rotations, const Qwen2Config& config) {
  const double original = config.rope_scaling->original_max_position_embeddings;
  return config.head_dim * std::log(original / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(static_cast<double>(config.rope_theta)));
}

}  // namespace

Rope::Rope(const Qwen2Config& config)
    : dual_chunk_(config.dual_chunk_attention.value_or(DualChunkAttention{})) {
  chunk_tokens_ = dual_chunk_.key_chunk_tokens();
  const int half = config.head_dim / 2;
  for (int i = 0; i < half; ++i) {
    inverse_frequency_.push_back(
        std::pow(static_cast<double>(config.rope_theta), -2.0 * i / static_cast<double>(config.head_dim)));
  }
  if (!config.rope_scaling || config.rope_scaling->factor <= 1.0f) return;

  const double factor = config.rope_scaling->factor;
  const double low = std::max(0.0, std::floor(dimension_of_rotations(kFastRotations, config)));
  double high = std::min(config.head_dim - 1.0, std::ceil(dimension_of_rotations(kSlowRotations, config)));
  if (high == low) high += 0.001;  // as the reference does, against dividing by zero
  for (int i = 0; i < half; ++i) {
    const double slowed = std::clamp((i - low) / (high - low), 0.0, 1.0);
    inverse_frequency_[static_cast<size_t>(i)] *= (1.0 - slowed) + slowed / factor;
  }
  magnitude_ = 0.1 * std::log(factor) + 1.0;
}

void Rope::fill_key(int position, float* cos_sin) const {
  fill(chunk_tokens_ == 0 ? position : position % chunk_tokens_, magnitude_, cos_sin);
}

void Rope::fill_query(int position, KeyChunk chunk, float* cos_sin) const {
  if (chunk_tokens_ == 0) return fill(position, magnitude_, cos_sin);
  const int original = dual_chunk_.original_max_position_embeddings;
  const double stretch = original == 0 ? 1.0 : std::max(1.0, (position + 1.0) / original);
  const double temperature = 0.1 * std::log(stretch) + 1.0;
  const int in_chunk = position % chunk_tokens_;
  const int rotation = chunk == KeyChunk::kIntra  ? in_chunk
                       : chunk == KeyChunk::kSucc ? std::min(in_chunk + chunk_tokens_, dual_chunk_.chunk_size)
                                                  : dual_chunk_.chunk_size;
  fill(rotation, temperature * temperature, cos_sin);
}

void Rope::fill(int position, double magnitude, float* cos_sin) const {
  const size_t half = inverse_frequency_.size();
  for (size_t i = 0; i < half; ++i) {
    const double angle = position * inverse_frequency_[i];
    cos_sin[i] = static_cast<float>(std::cos(angle) * magnitude);
    cos_sin[half + i] = static_cast<float>(std::sin(angle) * magnitude);
  }
}

}  // namespace lectern
