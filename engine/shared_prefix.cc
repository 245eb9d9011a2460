#include "engine/shared_prefix.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace lectern {
namespace {

// A shared run shorter than this is cheaper to read again in a batch than to read on its own.
constexpr size_t kMinShared = 32;

size_t shareable(const PrefixItem& item) {
  return item.tokens.size() - static_cast<size_t>(item.n_logits);
}

}  // namespace

SharedPrefixRun::SharedPrefixRun(KvPagePool& pages, PrefixCache& cache, std::span<const PrefixItem> items,
                                 std::span<const int32_t> label_rows, Priority priority, Consumer consumer)
    : pages_(pages),
      cache_(cache),
      items_(items),
      label_rows_(label_rows),
      priority_(priority),
      consumer_(std::move(consumer)),
      order_(items.size()) {
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
    return items[a].tokens != items[b].tokens ? items[a].tokens < items[b].tokens
                                              : items[a].n_logits < items[b].n_logits;
  });
  for (size_t i = 0; i < order_.size(); ++i) {
    const PrefixItem& item = items[order_[i]];
    max_tokens_ = std::max(max_tokens_, static_cast<int>(item.tokens.size()));
    size_t n_common = 0;
    if (i > 0) {
      const PrefixItem& before = items[order_[i - 1]];
      if (before.n_logits == item.n_logits && before.tokens == item.tokens) {
        leaves_.back().end = i + 1;
        continue;
      }
      n_common = std::min({common_prefix(before.tokens, item.tokens), shareable(before), shareable(item)});
    }
    leaves_.push_back({.begin = i, .end = i + 1, .n_common = n_common, .n_new_left = 0});
  }
  int64_t n_left = 0;
  for (size_t leaf = leaves_.size(); leaf-- > 0;) {
    n_left += static_cast<int64_t>(first_item(leaf).tokens.size() - leaves_[leaf].n_common);
    leaves_[leaf].n_new_left = n_left;
  }
}

std::span<const int32_t> SharedPrefixRun::beginning() const {
  if (next_ == leaves_.size()) return {};
  return first_item(next_).tokens;
}

int64_t SharedPrefixRun::n_tokens_left() const {
  int64_t n = next_ < leaves_.size() ? leaves_[next_].n_new_left : 0;
  for (const auto& open : readings_) n += open->reading.left();
  return n;
}

int SharedPrefixRun::n_pages() const {
  size_t n = 0;
  for (const Branch& branch : branches_) n += branch.sequence.pages().size();
  for (const auto& open : readings_) n += open->reading.sequence.pages().size();
  return static_cast<int>(n);
}

Reading* SharedPrefixRun::reading(size_t i) {
  while (readings_.size() <= i) {
    if (!open_next()) return nullptr;
  }
  return &readings_[i]->reading;
}

// The walk through the tree, depth first: begins the next branch or leaf, if one can begin before what is
// open has been read.
bool SharedPrefixRun::open_next() {
  if (!readings_.empty() && readings_.back()->is_branch) return false;
  while (next_ < leaves_.size()) {
    while (!branches_.empty() && branches_.back().end == next_) branches_.pop_back();
    size_t n_base = 0;
    if (!branches_.empty()) {
      n_base = branches_.back().n_tokens;
      if (open_branch()) return true;
    }
    const size_t worth_sharing = n_base + kMinShared;
    const size_t end = branches_.empty() ? leaves_.size() : branches_.back().end;
    size_t group_end = next_ + 1, n_shared = first_item(next_).tokens.size();
    for (; group_end < end && leaves_[group_end].n_common >= worth_sharing; ++group_end) {
      n_shared = std::min(n_shared, leaves_[group_end].n_common);
    }
    if (group_end == next_ + 1) {
      open_leaf();
      return true;
    }
    branches_.push_back({.end = group_end,
                         .n_tokens = n_shared,
                         .n_kept = first_item(next_).n_kept,
                         .sequence = KvSequence(pages_)});
  }
  return false;
}

// What is known of `tokens`, which begin as the branches do.
KvSequence SharedPrefixRun::longest(std::span<const int32_t> tokens, int n_kept) {
  const KvSequence* base = nullptr;
  for (const Branch& branch : branches_) {
    if (branch.n_tokens <= tokens.size() && branch.sequence.length() > (base ? base->length() : 0))
      base = &branch.sequence;
  }
  const int n_base = base ? base->length() : 0;
  KvSequence sequence = cache_.longest(tokens, n_kept > n_base ? n_kept : 0);
  return sequence.length() < n_base ? cache_.fork(*base, n_base) : std::move(sequence);
}

// Begins to read the innermost branch; false when it is in the cache as a whole.
bool SharedPrefixRun::open_branch() {
  Branch& branch = branches_.back();
  if (branch.sequence.length() == static_cast<int>(branch.n_tokens)) return false;
  auto open = std::make_unique<Open>(pages_);
  open->is_branch = true;
  open->reading.tokens = std::span(first_item(next_).tokens).first(branch.n_tokens);
  open->reading.n_kept = branch.n_kept;
  open->reading.sequence = longest(open->reading.tokens, branch.n_kept);
  if (open->reading.left() == 0) {
    branch.sequence = std::move(open->reading.sequence);
    return false;
  }
  readings_.push_back(std::move(open));
  return true;
}

void SharedPrefixRun::open_leaf() {
  const PrefixItem& item = first_item(next_);
  auto open = std::make_unique<Open>(pages_);
  open->leaf = next_;
  open->reading.tokens = item.tokens;
  open->reading.n_logits = item.n_logits;
  open->reading.n_kept = item.n_kept;
  open->reading.sequence = longest(open->reading.reusable(), item.n_kept);
  readings_.push_back(std::move(open));
  ++next_;
}

void SharedPrefixRun::take(Reading& reading, int first_row, int n_rows, std::span<float> logits) {
  const auto place = std::find_if(readings_.begin(), readings_.end(),
                                  [&](const auto& open) { return &open->reading == &reading; });
  LECTERN_CHECK(place != readings_.end());
  Open& open = **place;
  if (!open.is_branch) {
    const Leaf& leaf = leaves_[open.leaf];
    for (size_t i = leaf.begin; n_rows > 0 && i < leaf.end; ++i) {
      if (i + 1 == leaf.end) {
        consumer_(order_[i], first_row, n_rows, logits);
      } else {
        copy_.assign(logits.begin(), logits.end());
        consumer_(order_[i], first_row, n_rows, copy_);
      }
    }
    reading.n_rows_done += n_rows;
  }
  if (reading.left() > 0) return;
  if (open.is_branch) {
    finish_branch(open);
  } else {
    const Leaf& leaf = leaves_[open.leaf];
    for (size_t i = leaf.begin; i < leaf.end; ++i) {
      const PrefixItem& item = items_[order_[i]];
      cache_.store(std::span(item.tokens).first(static_cast<size_t>(item.n_kept)), reading.sequence.pages());
    }
  }
  readings_.erase(place);
}

void SharedPrefixRun::finish_branch(Open& open) {
  Branch& branch = branches_.back();
  branch.sequence = std::move(open.reading.sequence);
  KvSequence kept = cache_.fork(branch.sequence, branch.sequence.length());
  const auto known = open.reading.tokens.first(static_cast<size_t>(kept.length()));
  cache_.keep(known, std::move(kept));
}

void SharedPrefixRun::put_back() {
  for (Branch& branch : branches_) branch.sequence.truncate(0);
  for (const auto& open : readings_) open->reading.sequence.truncate(0);
}

void SharedPrefixRun::keep_only(const Reading& reading) {
  for (Branch& branch : branches_) branch.sequence.truncate(0);
  for (const auto& open : readings_) {
    if (&open->reading != &reading) open->reading.sequence.truncate(0);
  }
}

void SharedPrefixRun::cancel() {
  throw Error(ErrorCode::kCancelled, "cancelled");
}

}  // namespace lectern
