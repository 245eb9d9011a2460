// Where K and V of the layers lie in a page of the KV cache, for any backend: [layer][k, v][kv_head], each a
// block of kKvPageTokens positions as KvType says (kernels/common/types.h). Immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/config.h"
#include "engine/kv_cache.h"
#include "kernels/common/types.h"

namespace lectern {

// How the layers' K and V are kept for a cache of `type`. In a cache of bytes K of the first and of the last
// layer stay halves: smoothing (key_smoothing.h) does not suffice there.
std::vector<KvLayerTypes> kv_layer_types(const Qwen2Config& config, KvType type);

// Bytes that one position takes.
int64_t kv_bytes_per_token(const Qwen2Config& config, const std::vector<KvLayerTypes>& types);

class KvLayout {
 public:
  // The blocks of one layer and side, a KV head after the other.
  struct Blocks {
    KvType type;
    size_t offset;  // of the first, in the page
    size_t bytes;   // of each
  };

  KvLayout(const Qwen2Config& config, std::vector<KvLayerTypes> types);

  const std::vector<KvLayerTypes>& types() const { return types_; }
  size_t page_bytes() const { return page_bytes_; }
  const Blocks& keys(int layer) const { return blocks_[static_cast<size_t>(2 * layer)]; }
  const Blocks& values(int layer) const { return blocks_[static_cast<size_t>(2 * layer + 1)]; }

  // The first n positions of a page as n * kv_bytes_per_token bytes, and back.
  void gather(const std::byte* page, int n, std::byte* out) const;
  void scatter(const std::byte* in, int n, std::byte* page) const;
  // Copies the first n positions of a page.
  void copy(const std::byte* from, int n, std::byte* to) const;

 private:
  // Calls visit(at, bytes) for every run of bytes that belongs to the first n positions of a page, in a fixed
  // order; `at` is an offset into the page.
  template <typename Visit>
  void for_runs(int n, const Visit& visit) const;

  int n_kv_heads_, head_dim_;
  std::vector<KvLayerTypes> types_;  // by layer
  std::vector<Blocks> blocks_;       // by layer and side
  size_t page_bytes_;
};

}  // namespace lectern
