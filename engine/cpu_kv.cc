#include "engine/cpu_kv.h"

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

int64_t CpuKv::bytes_per_token(const Qwen2Config& config, const std::vector<KvLayerTypes>& types) {
  size_t bytes = 0;
  for (const auto& [k, v] : types) bytes += token_bytes(k, config.head_dim) + token_bytes(v, config.head_dim);
  return static_cast<int64_t>(bytes) * config.num_key_value_heads;
}

CpuKv::CpuKv(const Qwen2Config& config, std::vector<KvLayerTypes> types, int n_pages)
    : n_kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      types_(std::move(types)),
      page_bytes_(static_cast<size_t>(kKvPageTokens) * static_cast<size_t>(bytes_per_token(config, types_))),
      memory_(static_cast<size_t>(n_pages) * page_bytes_,
              "a KV cache of " + std::to_string(int64_t{n_pages} * kKvPageTokens) + " tokens"),
      pool_(n_pages) {
  size_t offset = 0;
  for (const auto& [k, v] : types_) {
    for (const KvType side : {k, v}) {
      const size_t bytes = static_cast<size_t>(kKvPageTokens) * token_bytes(side, head_dim_);
      blocks_.push_back({offset, bytes});
      offset += bytes * static_cast<size_t>(n_kv_heads_);
    }
  }
}

template <typename Visit>
void CpuKv::for_runs(int n, const Visit& visit) const {
  const auto n_tokens = static_cast<size_t>(n), d = static_cast<size_t>(head_dim_);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const KvType type = i % 2 == kKeys ? types_[i / 2].k : types_[i / 2].v;
    for (size_t head = 0; head < static_cast<size_t>(n_kv_heads_); ++head) {
      const size_t at = blocks_[i].offset + head * blocks_[i].bytes;
      if (type == KvType::kF16) {
        visit(at, n_tokens * d * sizeof(uint16_t));
      } else {
        visit(at, n_tokens * d);
        visit(at + static_cast<size_t>(kKvPageTokens) * d, n_tokens * sizeof(float));
      }
    }
  }
}

void CpuKv::copy(KvPageId from, KvPageId to, int n) {
  const std::byte* source = block(from, 0, kKeys, 0);
  std::byte* target = block(to, 0, kKeys, 0);
  for_runs(n, [&](size_t at, size_t bytes) { std::memcpy(target + at, source + at, bytes); });
}

void CpuKv::export_page(KvPageId page, int n, std::byte* out) {
  const std::byte* source = block(page, 0, kKeys, 0);
  for_runs(n, [&](size_t at, size_t bytes) {
    std::memcpy(out, source + at, bytes);
    out += bytes;
  });
}

void CpuKv::import_page(KvPageId page, int n, const std::byte* in) {
  std::byte* target = block(page, 0, kKeys, 0);
  for_runs(n, [&](size_t at, size_t bytes) {
    std::memcpy(target + at, in, bytes);
    in += bytes;
  });
}

}  // namespace lectern
