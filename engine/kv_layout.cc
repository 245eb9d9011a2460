#include "engine/kv_layout.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

namespace lectern {
namespace {

// Times the median of the layers. Of Qwen2.5-Coder-0.5B the layers 0, 1, 2, 4 and 8 are beyond (4 to 33 times
// the median), of the 1.5B 0, 1, 7 and 15 (6 to 103 times); all others, the last ones too, stay below 3.
constexpr double kGiantBias = 4.0;

// Of one position of one KV head.
size_t token_bytes(KvType type, int head_dim) {
  const auto d = static_cast<size_t>(head_dim);
  return type == KvType::kInt8 ? d + sizeof(float) : d * sizeof(uint16_t);
}

}  // namespace

std::vector<KvLayerTypes> kv_layer_types(const Weights& weights, KvType type) {
  std::vector<double> norms;  // of the layers' key biases
  for (const LayerWeights& layer : weights.layers) {
    const Vector& bias = layer.k_bias;
    norms.push_back(std::sqrt(std::inner_product(bias.begin(), bias.end(), bias.begin(), 0.0)));
  }
  std::vector<double> sorted = norms;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  std::vector<KvLayerTypes> types(norms.size(), {type, type});
  for (size_t i = 0; i < types.size(); ++i) {
    const bool outer = i == 0 || i + 1 == types.size();
    if (outer || norms[i] > kGiantBias * *middle) types[i].k = KvType::kF16;
  }
  return types;
}

int64_t kv_bytes_per_token(const Qwen2Config& config, const std::vector<KvLayerTypes>& types) {
  size_t bytes = 0;
  for (const auto& [k, v] : types) bytes += token_bytes(k, config.head_dim) + token_bytes(v, config.head_dim);
  return static_cast<int64_t>(bytes) * config.num_key_value_heads;
}

KvLayout::KvLayout(const Qwen2Config& config, std::vector<KvLayerTypes> types)
    : n_kv_heads_(config.num_key_value_heads), head_dim_(config.head_dim), types_(std::move(types)) {
  size_t offset = 0;
  for (const auto& [k, v] : types_) {
    for (const KvType side : {k, v}) {
      const size_t bytes = static_cast<size_t>(kKvPageTokens) * token_bytes(side, head_dim_);
      blocks_.push_back({side, offset, bytes});
      offset += bytes * static_cast<size_t>(n_kv_heads_);
    }
  }
  page_bytes_ = offset;
}

template <typename Visit>
void KvLayout::for_runs(int n, const Visit& visit) const {
  const auto n_tokens = static_cast<size_t>(n), d = static_cast<size_t>(head_dim_);
  for (const Blocks& blocks : blocks_) {
    for (size_t head = 0; head < static_cast<size_t>(n_kv_heads_); ++head) {
      const size_t at = blocks.offset + head * blocks.bytes;
      if (blocks.type == KvType::kF16) {
        visit(at, n_tokens * d * sizeof(uint16_t));
      } else {
        visit(at, n_tokens * d);
        visit(at + static_cast<size_t>(kKvPageTokens) * d, n_tokens * sizeof(float));
      }
    }
  }
}

void KvLayout::gather(const std::byte* page, int n, std::byte* out) const {
  for_runs(n, [&](size_t at, size_t bytes) {
    std::memcpy(out, page + at, bytes);
    out += bytes;
  });
}

void KvLayout::scatter(const std::byte* in, int n, std::byte* page) const {
  for_runs(n, [&](size_t at, size_t bytes) {
    std::memcpy(page + at, in, bytes);
    in += bytes;
  });
}

void KvLayout::copy(const std::byte* from, int n, std::byte* to) const {
  for_runs(n, [&](size_t at, size_t bytes) { std::memcpy(to + at, from + at, bytes); });
}

}  // namespace lectern
