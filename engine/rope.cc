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

Rope::Rope(const Qwen2Config& config) {
  const int half = config.head_dim / 2;
  table_.n_pairs = half;
  if (const auto& dual = config.dual_chunk_attention) {
    table_.chunk_tokens = dual->key_chunk_tokens();
    table_.chunk_size = dual->chunk_size;
    table_.original_max_position_embeddings = dual->original_max_position_embeddings;
  }
  for (int i = 0; i < half; ++i) {
    table_.inverse_frequency[i] =
        std::pow(static_cast<double>(config.rope_theta), -2.0 * i / static_cast<double>(config.head_dim));
  }
  if (!config.rope_scaling || config.rope_scaling->factor <= 1.0f) return;

  const double factor = config.rope_scaling->factor;
  const double low = std::max(0.0, std::floor(dimension_of_rotations(kFastRotations, config)));
  double high = std::min(config.head_dim - 1.0, std::ceil(dimension_of_rotations(kSlowRotations, config)));
  if (high == low) high += 0.001;  // as the reference does, against dividing by zero
  for (int i = 0; i < half; ++i) {
    const double slowed = std::clamp((i - low) / (high - low), 0.0, 1.0);
    table_.inverse_frequency[i] *= (1.0 - slowed) + slowed / factor;
  }
  table_.magnitude = 0.1 * std::log(factor) + 1.0;
}

void Rope::fill_key(int position, float* cos_sin) const {
  fill(key_rotation(table_, position), cos_sin);
}

void Rope::fill_query(int position, KeyChunk chunk, float* cos_sin) const {
  fill(query_rotation(table_, position, chunk), cos_sin);
}

void Rope::fill(const Rotation& rotation, float* cos_sin) const {
  for (int i = 0; i < table_.n_pairs; ++i) {
    const double angle = rotation.position * table_.inverse_frequency[i];
    cos_sin[i] = static_cast<float>(std::cos(angle) * rotation.magnitude);
    cos_sin[table_.n_pairs + i] = static_cast<float>(std::sin(angle) * rotation.magnitude);
  }
}

}  // namespace lectern
