// The paged KV cache's bookkeeping: which pages a sequence owns. Pages hold kKvPageTokens positions of all
// layers and are reference-counted, so sequences can share a prefix; the memory behind a page belongs to the
// backend. Not thread-safe: used by the engine thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/common/types.h"

namespace lectern {

inline constexpr int kKvPageTokens = 128;
using KvPageId = int32_t;

// How the keys and the values of one layer are kept.
struct KvLayerTypes {
  KvType k = KvType::kF16, v = KvType::kF16;
  bool operator==(const KvLayerTypes&) const = default;
};

class KvPagePool {
 public:
  explicit KvPagePool(int n_pages);

  int n_pages() const { return static_cast<int>(references_.size()); }
  int n_free() const { return static_cast<int>(free_.size()); }

  // A page with one reference. Throws Error(kResourceExhausted) when none is free.
  KvPageId allocate();
  void retain(KvPageId page);
  void release(KvPageId page);
  int references(KvPageId page) const { return references_[static_cast<size_t>(page)]; }

 private:
  std::vector<int32_t> references_;
  std::vector<KvPageId> free_;
};

// One sequence's pages, released when it goes. `length` positions are filled.
class KvSequence {
 public:
  explicit KvSequence(KvPagePool& pool) : pool_(&pool) {}
  ~KvSequence() { truncate(0); }
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  KvSequence(const KvSequence&) = delete;
  KvSequence& operator=(const KvSequence&) = delete;

  int length() const { return length_; }
  const std::vector<KvPageId>& pages() const { return pages_; }

  // Room for `n` more positions; on failure nothing has changed.
  void reserve(int n);
  void advance(int n) { length_ += n; }
  void truncate(int length);
  // A sequence that shares all full pages of the first `length` positions; the caller recomputes the rest of
  // a partly filled page (returned length is rounded down to a page border).
  KvSequence fork(int length) const;

 private:
  KvPagePool* pool_;
  std::vector<KvPageId> pages_;
  int length_ = 0;
};

}  // namespace lectern
