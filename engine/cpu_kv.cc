#include "engine/cpu_kv.h"

#include <cstring>

namespace lectern {

int64_t CpuKv::bytes_per_token(const Qwen2Config& config) {
  return int64_t{2} * config.num_hidden_layers * config.kv_size() * static_cast<int64_t>(sizeof(uint16_t));
}

CpuKv::CpuKv(const Qwen2Config& config, int n_pages)
    : n_layers_(config.num_hidden_layers),
      n_kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      block_size_(static_cast<size_t>(kKvPageTokens) * static_cast<size_t>(config.head_dim)),
      memory_(static_cast<size_t>(n_pages) * kKvPageTokens * static_cast<size_t>(bytes_per_token(config)),
              "a KV cache of " + std::to_string(int64_t{n_pages} * kKvPageTokens) + " tokens"),
      pool_(n_pages) {}

void CpuKv::copy(KvPageId from, KvPageId to, int n) {
  const size_t bytes = static_cast<size_t>(n) * static_cast<size_t>(head_dim_) * sizeof(uint16_t);
  for (int layer = 0; layer < n_layers_; ++layer) {
    for (int side = 0; side < 2; ++side) {
      for (int head = 0; head < n_kv_heads_; ++head) {
        std::memcpy(block(to, layer, side, head), block(from, layer, side, head), bytes);
      }
    }
  }
}

}  // namespace lectern
