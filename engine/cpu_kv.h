// The memory behind the KV pages of the CPU backend. One page holds kKvPageTokens positions of all layers:
// [layer][k, v][kv_head], each a block as KvType says (kernels/common/types.h). Reserved at once, resident
// only where it was written, so an unused cache costs nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/config.h"
#include "engine/kv_cache.h"
#include "engine/memory.h"
#include "engine/model.h"
#include "kernels/common/types.h"

namespace lectern {

// How the layers' K and V are kept for a cache of `type`. In a cache of bytes some K stay halves: those of
// the first and of the last layer, and of the layers whose key bias is giant, as Qwen2 has them in a few. It
// leaves little of a byte to what tells keys apart.
std::vector<KvLayerTypes> kv_layer_types(const Weights& weights, KvType type);

class CpuKv {
 public:
  CpuKv(const Qwen2Config& config, std::vector<KvLayerTypes> types, int n_pages);

  KvPagePool& pool() { return pool_; }
  const std::vector<KvLayerTypes>& types() const { return types_; }

  // Blocks of kKvPageTokens positions.
  std::byte* keys(KvPageId page, int layer, int kv_head) { return block(page, layer, kKeys, kv_head); }
  std::byte* values(KvPageId page, int layer, int kv_head) { return block(page, layer, kValues, kv_head); }

  // Copies the first n positions of a page.
  void copy(KvPageId from, KvPageId to, int n);

  // The first n positions of a page as n * bytes_per_token bytes, and back.
  void export_page(KvPageId page, int n, std::byte* out);
  void import_page(KvPageId page, int n, const std::byte* in);

  // Bytes that one position takes in the cache.
  static int64_t bytes_per_token(const Qwen2Config& config, const std::vector<KvLayerTypes>& types);

 private:
  enum Side { kKeys, kValues };

  std::byte* block(KvPageId page, int layer, Side side, int kv_head) {
    const Blocks& blocks = blocks_[static_cast<size_t>(2 * layer + side)];
    return memory_.data() + static_cast<size_t>(page) * page_bytes_ + blocks.offset +
           static_cast<size_t>(kv_head) * blocks.bytes;
  }
  // Calls visit(at, bytes) for every run of bytes that belongs to the first n positions of a page, in a fixed
  // order; `at` is an offset into the page.
  template <typename Visit>
  void for_runs(int n, const Visit& visit) const;

  // The blocks of one layer and side, a KV head after the other.
  struct Blocks {
    size_t offset;  // of the first, in the page
    size_t bytes;   // of each
  };

  int n_kv_heads_, head_dim_;
  std::vector<KvLayerTypes> types_;  // by layer
  std::vector<Blocks> blocks_;       // by layer and side
  size_t page_bytes_;
  AnonymousMemory memory_;
  KvPagePool pool_;
};

}  // namespace lectern
