// Runs many token sequences through a backend so that what several of them begin with is computed once: the
// sequences, sorted, form a tree; each branch worth sharing is read once and its leaves go through the
// backend together, in batches. Used by the engine thread.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "engine/backend.h"
#include "engine/prefix_cache.h"

namespace lectern {

struct PrefixItem {
  std::vector<int32_t> tokens;
  int n_logits = 1;  // of the last tokens, 1 to tokens.size(); these are never shared
  int n_kept = 0;    // the first so many tokens are looked for in the cache's store, and put there
};

class SharedPrefixRun {
 public:
  // Receives the logits of item `item`'s wanted tokens first_row, first_row + 1, ...: [n_rows, columns],
  // which it may overwrite.
  using Consumer = std::function<void(size_t item, int first_row, int n_rows, std::span<float> logits)>;

  // `label_rows`: as in ForwardBatch.
  SharedPrefixRun(Backend& backend, PrefixCache& cache, std::span<const int32_t> label_rows,
                  Consumer consumer, const CancelToken& cancel);

  void run(std::span<const PrefixItem> items);

 private:
  struct Leaf {
    size_t item;
    KvSequence sequence;  // holds a beginning of the item
  };

  void branch(size_t begin, size_t end, const KvSequence& base);
  KvSequence read_prefix(const KvSequence& base, std::span<const int32_t> tokens, int n_kept);
  void add_leaf(size_t item, const KvSequence& base);
  void run_alone(Leaf leaf);
  void store(const Leaf& leaf);
  void flush();
  int max_rows() const;

  Backend& backend_;
  PrefixCache& cache_;
  std::span<const int32_t> label_rows_;
  Consumer consumer_;
  const CancelToken& cancel_;

  std::span<const PrefixItem> items_;
  std::vector<size_t> order_;   // items sorted by their tokens
  std::vector<size_t> common_;  // by place in order_: tokens that may be shared with the item before
  std::vector<Leaf> leaves_;    // waiting to be run together
  int waiting_tokens_ = 0, waiting_rows_ = 0;
  std::vector<float> logits_;
};

}  // namespace lectern
