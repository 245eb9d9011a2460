// Remembers the KV of recent sequences, so that a request that begins like an earlier one need not read that
// beginning again. Pages are shared by reference; the oldest sequences are given up when pages are needed.
// Used by the engine thread; the backend must outlive it.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/kv_cache.h"
#include "engine/kv_store.h"

namespace lectern {

class PrefixCache {
 public:
  // `store`, which may be null, keeps beginnings on disk too.
  explicit PrefixCache(Backend& backend, KvStore* store = nullptr) : backend_(backend), store_(store) {}

  // A new sequence that holds as much of the beginning of `tokens` as some remembered sequence has; where
  // that is less than the first n_kept tokens, which a store may have, it holds those if it has.
  KvSequence longest(std::span<const int32_t> tokens, int n_kept = 0);
  // The first `length` positions of `sequence` as a sequence of its own. A partly filled page is copied, or,
  // when there is no room for the copy, left out.
  KvSequence fork(const KvSequence& sequence, int length);
  // Room for n more positions, at the expense of the oldest remembered sequences.
  void reserve(KvSequence& sequence, int n);
  // Remembers `sequence`, which holds the KV of `tokens`.
  void keep(std::span<const int32_t> tokens, KvSequence sequence);
  // Pages that would be free if all that is remembered were given up.
  int n_reclaimable() const;
  // Puts the KV of `tokens`, which `pages` begin with, into the store if there is one.
  void store(std::span<const int32_t> tokens, std::span<const KvPageId> pages);
  // As KvStore::take_problem(); "" without a store.
  std::string take_kept_problem(std::span<const int32_t> tokens);

 private:
  struct Entry {
    std::vector<int32_t> tokens;
    KvSequence sequence;
  };

  KvSequence longest_in_memory(std::span<const int32_t> tokens);

  Backend& backend_;
  KvStore* store_;
  std::list<Entry> entries_;  // the longest unused first
};

// How many tokens two sequences have in common at their beginning.
size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace lectern
