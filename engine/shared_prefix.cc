#include "engine/shared_prefix.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace lectern {
namespace {

// A shared run shorter than this is cheaper to read again in a batch than to read on its own.
constexpr size_t kMinShared = 32;
// Items wait until they fill this many of the backend's pieces: the last piece is seldom a full one.
constexpr int kPiecesTogether = 4;
// Of logits held at a time.
constexpr size_t kMaxLogitsBytes = size_t{64} << 20;

size_t shareable(const PrefixItem& item) {
  return item.tokens.size() - static_cast<size_t>(item.n_logits);
}

}  // namespace

SharedPrefixRun::SharedPrefixRun(Backend& backend, PrefixCache& cache, std::span<const int32_t> label_rows,
                                 Consumer consumer, const CancelToken& cancel)
    : backend_(backend),
      cache_(cache),
      label_rows_(label_rows),
      consumer_(std::move(consumer)),
      cancel_(cancel) {}

int SharedPrefixRun::max_rows() const {
  const size_t columns =
      label_rows_.empty() ? static_cast<size_t>(backend_.config().vocab_size) : label_rows_.size();
  return static_cast<int>(std::max<size_t>(1, kMaxLogitsBytes / sizeof(float) / columns));
}

void SharedPrefixRun::run(std::span<const PrefixItem> items) {
  items_ = items;
  order_.resize(items.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::stable_sort(order_.begin(), order_.end(),
                   [&](size_t a, size_t b) { return items[a].tokens < items[b].tokens; });
  common_.assign(items.size(), 0);
  for (size_t i = 1; i < items.size(); ++i) {
    const PrefixItem &a = items[order_[i - 1]], &b = items[order_[i]];
    common_[i] = std::min({common_prefix(a.tokens, b.tokens), shareable(a), shareable(b)});
  }
  branch(0, items.size(), KvSequence(backend_.kv_pages()));
  flush();
}

// The items at [begin, end) of order_ all begin with what `base` holds.
void SharedPrefixRun::branch(size_t begin, size_t end, const KvSequence& base) {
  const size_t worth_sharing = static_cast<size_t>(base.length()) + kMinShared;
  while (begin < end) {
    size_t group_end = begin + 1, shared = items_[order_[begin]].tokens.size();
    for (; group_end < end && common_[group_end] >= worth_sharing; ++group_end) {
      shared = std::min(shared, common_[group_end]);
    }
    if (group_end == begin + 1) {
      add_leaf(order_[begin], base);
    } else {
      const PrefixItem& first = items_[order_[begin]];
      branch(begin, group_end, read_prefix(base, std::span(first.tokens).first(shared), first.n_kept));
    }
    begin = group_end;
  }
}

KvSequence SharedPrefixRun::read_prefix(const KvSequence& base, std::span<const int32_t> tokens, int n_kept) {
  KvSequence sequence = cache_.longest(tokens, n_kept > base.length() ? n_kept : 0);
  if (sequence.length() < base.length()) sequence = cache_.fork(base, base.length());
  const auto rest = tokens.subspan(static_cast<size_t>(sequence.length()));
  if (!rest.empty()) {
    flush();
    cache_.reserve(sequence, static_cast<int>(rest.size()));
    const SequenceSlice slice[] = {{rest, sequence.length(), sequence.pages(), 0}};
    backend_.forward({slice, {}}, logits_, cancel_);
    sequence.advance(static_cast<int>(rest.size()));
    KvSequence kept = cache_.fork(sequence, sequence.length());
    const auto known = tokens.first(static_cast<size_t>(kept.length()));
    cache_.keep(known, std::move(kept));
  }
  return sequence;
}

void SharedPrefixRun::add_leaf(size_t item, const KvSequence& base) {
  const PrefixItem& what = items_[item];
  const auto reusable = std::span(what.tokens).first(shareable(what));
  const auto make_sequence = [&] {
    KvSequence sequence = cache_.longest(reusable, what.n_kept > base.length() ? what.n_kept : 0);
    if (sequence.length() < base.length()) sequence = cache_.fork(base, base.length());
    cache_.reserve(sequence, static_cast<int>(what.tokens.size()) - sequence.length());
    return sequence;
  };
  if (what.n_logits > max_rows()) {
    flush();
    run_alone({item, make_sequence()});
    return;
  }
  if (waiting_rows_ + what.n_logits > max_rows()) flush();
  try {
    leaves_.push_back({item, make_sequence()});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kResourceExhausted || leaves_.empty()) throw;
    flush();  // the pages of the leaves that wait become free
    leaves_.push_back({item, make_sequence()});
  }
  waiting_rows_ += what.n_logits;
  waiting_tokens_ += static_cast<int>(what.tokens.size()) - leaves_.back().sequence.length();
  if (waiting_tokens_ >= kPiecesTogether * backend_.options().prefill_chunk_tokens) flush();
}

// An item with many logits, some rows at a time.
void SharedPrefixRun::run_alone(Leaf leaf) {
  const std::span<const int32_t> tokens = items_[leaf.item].tokens;
  const auto n_tokens = static_cast<int>(tokens.size());
  const int first_wanted = n_tokens - items_[leaf.item].n_logits;
  while (leaf.sequence.length() < n_tokens) {
    const int begin = leaf.sequence.length();
    const int end = std::min(n_tokens, std::max(begin, first_wanted) + max_rows());
    const int rows = end - std::max(begin, first_wanted);
    const auto part = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const SequenceSlice slice[] = {{part, begin, leaf.sequence.pages(), rows}};
    backend_.forward({slice, label_rows_}, logits_, cancel_);
    leaf.sequence.advance(end - begin);
    consumer_(leaf.item, end - rows - first_wanted, rows, logits_);
  }
  store(leaf);
}

void SharedPrefixRun::store(const Leaf& leaf) {
  const PrefixItem& item = items_[leaf.item];
  cache_.store(std::span(item.tokens).first(static_cast<size_t>(item.n_kept)), leaf.sequence.pages());
}

void SharedPrefixRun::flush() {
  if (leaves_.empty()) return;
  std::vector<SequenceSlice> slices;
  for (const Leaf& leaf : leaves_) {
    const PrefixItem& item = items_[leaf.item];
    slices.push_back({std::span(item.tokens).subspan(static_cast<size_t>(leaf.sequence.length())),
                      leaf.sequence.length(), leaf.sequence.pages(), item.n_logits});
  }
  backend_.forward({slices, label_rows_}, logits_, cancel_);
  const size_t columns = logits_.size() / static_cast<size_t>(waiting_rows_);
  std::span<float> rest = logits_;
  for (const Leaf& leaf : leaves_) {
    const int rows = items_[leaf.item].n_logits;
    const size_t n = static_cast<size_t>(rows) * columns;
    consumer_(leaf.item, 0, rows, rest.first(n));
    rest = rest.subspan(n);
    store(leaf);
  }
  leaves_.clear();
  waiting_tokens_ = waiting_rows_ = 0;
}

}  // namespace lectern
