// Runs many token sequences through the model so that what several of them begin with is computed once: the
// sequences, sorted, form a tree; each branch worth sharing is read once, and its leaves are read after it,
// packed into steps with whatever else is running. Sequences that are wholly equal are one leaf. A task of
// the scheduler.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/task.h"

namespace lectern {

struct PrefixItem {
  std::vector<int32_t> tokens;
  int n_logits = 1;  // of the last tokens, 1 to tokens.size(); these are never shared
  int n_kept = 0;    // the first so many tokens are looked for in the cache's store, and put there
};

class SharedPrefixRun final : public Task {
 public:
  // Receives the logits of item `item`'s wanted tokens first_row, first_row + 1, ...: [n_rows, columns],
  // which it may overwrite. Called on the engine thread.
  using Consumer = std::function<void(size_t item, int first_row, int n_rows, std::span<float> logits)>;

  // `items` and `label_rows` (as in ForwardBatch) outlive the run.
  SharedPrefixRun(KvPagePool& pages, PrefixCache& cache, std::span<const PrefixItem> items,
                  std::span<const int32_t> label_rows, Priority priority, Consumer consumer);

  Priority priority() const override { return priority_; }
  std::span<const int32_t> label_rows() const override { return label_rows_; }
  Reading* reading(size_t i) override;
  bool done() const override { return next_ == leaves_.size() && readings_.empty(); }
  int64_t n_tokens_left() const override;
  void take(Reading& reading, int first_row, int n_rows, std::span<float> logits) override;
  std::span<const int32_t> beginning() const override;
  int max_tokens() const override { return max_tokens_; }
  int n_pages() const override;
  void put_back() override;
  void keep_only(const Reading& reading) override;
  void cancel() override;

 private:
  // Items of equal tokens: [begin, end) of order_.
  struct Leaf {
    size_t begin, end;
    size_t n_common;     // tokens that may be shared with the leaf before
    int64_t n_new_left;  // of this leaf and all after it: tokens that are not common
  };
  // Leaves that begin with the same n_tokens tokens, which `sequence` holds once they are read.
  struct Branch {
    size_t end;  // of its leaves; the first that is not begun is next_
    size_t n_tokens;
    int n_kept;
    KvSequence sequence;
  };
  struct Open {
    explicit Open(KvPagePool& pages) : reading(pages) {}
    bool is_branch = false;  // the innermost one; else a leaf
    size_t leaf = 0;
    Reading reading;
  };

  const PrefixItem& first_item(size_t leaf) const { return items_[order_[leaves_[leaf].begin]]; }
  bool open_next();
  bool open_branch();
  void open_leaf();
  KvSequence longest(std::span<const int32_t> tokens, int n_kept);
  void finish_branch(Open& open);

  KvPagePool& pages_;
  PrefixCache& cache_;
  std::span<const PrefixItem> items_;
  std::span<const int32_t> label_rows_;
  Priority priority_;
  Consumer consumer_;
  int max_tokens_ = 0;

  std::vector<size_t> order_;  // items sorted by their tokens
  std::vector<Leaf> leaves_;
  size_t next_ = 0;               // the first leaf that is not begun
  std::vector<Branch> branches_;  // from the root inwards; all hold leaf next_
  std::vector<std::unique_ptr<Open>> readings_;
  std::vector<float> copy_;  // of logits that several items take
};

}  // namespace lectern
