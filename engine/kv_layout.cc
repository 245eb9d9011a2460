#include "engine/kv_layout.h"

#include <cstring>
#include <utility>

namespace lectern {
namespace {

// Of one position of one KV head.
size_t token_bytes(KvType type, int head_dim) {
  const auto d = static_cast<size_t>(head_dim);
  return type == KvType::kInt8 ? d + sizeof(float) : d * sizeof(uint16_t);
}

}  // namespace

std::vector<KvLayerTypes> kv_layer_types(const Qwen2Config& config, KvType type) {
  std::vector<KvLayerTypes> types(static_cast<size_t>(config.num_hidden_layers), {type, type});
  types.front().k = types.back().k = KvType::kF16;
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
