// The memory behind the KV pages of the CPU backend. Reserved at once, resident only where it was written, so
// an unused cache costs nothing.
#pragma once

#include <string>

#include "engine/kv_cache.h"
#include "engine/kv_layout.h"
#include "engine/memory.h"

namespace lectern {

class CpuKv {
 public:
  CpuKv(KvLayout layout, int n_pages)
      : layout_(std::move(layout)),
        memory_(static_cast<size_t>(n_pages) * layout_.page_bytes(),
                "a KV cache of " + std::to_string(int64_t{n_pages} * kKvPageTokens) + " tokens"),
        pool_(n_pages) {}

  KvPagePool& pool() { return pool_; }
  const KvLayout& layout() const { return layout_; }

  // Blocks of kKvPageTokens positions.
  std::byte* keys(KvPageId page, int layer, int kv_head) { return block(page, layout_.keys(layer), kv_head); }
  std::byte* values(KvPageId page, int layer, int kv_head) {
    return block(page, layout_.values(layer), kv_head);
  }

  std::byte* page(KvPageId id) { return memory_.data() + static_cast<size_t>(id) * layout_.page_bytes(); }

 private:
  std::byte* block(KvPageId id, const KvLayout::Blocks& blocks, int kv_head) {
    return page(id) + blocks.offset + static_cast<size_t>(kv_head) * blocks.bytes;
  }

  KvLayout layout_;
  AnonymousMemory memory_;
  KvPagePool pool_;
};

}  // namespace lectern
