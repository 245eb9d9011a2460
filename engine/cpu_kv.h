// The memory behind the KV pages of the CPU backend, in half precision. One page holds kKvPageTokens
// positions of all layers: [layer][k, v][kv_head][kKvPageTokens][head_dim]. Reserved at once, resident only
// where it was written, so an unused cache costs nothing.
#pragma once

#include <cstdint>

#include "engine/config.h"
#include "engine/kv_cache.h"
#include "engine/memory.h"

namespace lectern {

class CpuKv {
 public:
  CpuKv(const Qwen2Config& config, int n_pages);

  KvPagePool& pool() { return pool_; }

  // [kKvPageTokens, head_dim]
  uint16_t* keys(KvPageId page, int layer, int kv_head) { return block(page, layer, 0, kv_head); }
  uint16_t* values(KvPageId page, int layer, int kv_head) { return block(page, layer, 1, kv_head); }

  // Copies the first n positions of a page.
  void copy(KvPageId from, KvPageId to, int n);

  // Bytes that one position takes in the cache.
  static int64_t bytes_per_token(const Qwen2Config& config);

 private:
  uint16_t* block(KvPageId page, int layer, int side, int kv_head) {
    const size_t index =
        ((static_cast<size_t>(page) * static_cast<size_t>(n_layers_) + static_cast<size_t>(layer)) * 2 +
         static_cast<size_t>(side)) *
            static_cast<size_t>(n_kv_heads_) +
        static_cast<size_t>(kv_head);
    return reinterpret_cast<uint16_t*>(memory_.data()) + index * block_size_;
  }

  int n_layers_, n_kv_heads_, head_dim_;
  size_t block_size_;  // numbers in one (page, layer, side, head)
  AnonymousMemory memory_;
  KvPagePool pool_;
};

}  // namespace lectern
