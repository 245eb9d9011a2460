#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace lectern {
namespace {

constexpr size_t kMaxEntries = 32;  // looked through one by one

}  // namespace

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto ends = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(ends.first - a.begin());
}

KvSequence PrefixCache::longest(std::span<const int32_t> tokens, int n_kept) {
  KvSequence remembered = longest_in_memory(tokens);
  const auto n = static_cast<size_t>(n_kept);
  if (store_ == nullptr || n_kept <= remembered.length() || n > tokens.size()) return remembered;
  const auto kept = tokens.first(n);
  if (!store_->contains(kept)) return remembered;
  KvSequence loaded(backend_.kv_pages());
  try {
    reserve(loaded, n_kept);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kResourceExhausted) throw;
    return remembered;
  }
  if (!store_->load(kept, loaded.pages())) return remembered;
  loaded.advance(n_kept);
  return loaded;
}

void PrefixCache::store(std::span<const int32_t> tokens, std::span<const KvPageId> pages) {
  if (store_ != nullptr && !tokens.empty()) store_->store(tokens, pages);
}

std::string PrefixCache::take_kept_problem(std::span<const int32_t> tokens) {
  return store_ == nullptr ? std::string() : store_->take_problem(tokens);
}

KvSequence PrefixCache::longest_in_memory(std::span<const int32_t> tokens) {
  size_t best_length = 0;
  auto best = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const size_t length = common_prefix(entry->tokens, tokens);
    if (length > best_length) {
      best_length = length;
      best = entry;
    }
  }
  if (best == entries_.end()) return KvSequence(backend_.kv_pages());
  entries_.splice(entries_.end(), entries_, best);  // used last, given up last
  return fork(best->sequence, static_cast<int>(best_length));
}

KvSequence PrefixCache::fork(const KvSequence& sequence, int length) {
  KvSequence result = sequence.fork(length);
  const int rest = length - result.length();
  if (rest == 0) return result;
  const KvPageId partial = sequence.pages()[result.pages().size()];
  // `sequence` may itself be the last entry: it is not given up for its own copy.
  while (backend_.kv_pages().n_free() == 0 && entries_.size() > 1) entries_.pop_front();
  if (backend_.kv_pages().n_free() == 0) return result;
  result.reserve(rest);
  backend_.copy_kv(partial, result.pages().back(), rest);
  result.advance(rest);
  return result;
}

void PrefixCache::reserve(KvSequence& sequence, int n) {
  const int needed =
      (sequence.length() + n + kKvPageTokens - 1) / kKvPageTokens - static_cast<int>(sequence.pages().size());
  while (backend_.kv_pages().n_free() < needed && !entries_.empty()) entries_.pop_front();
  sequence.reserve(n);
}

void PrefixCache::keep(std::span<const int32_t> tokens, KvSequence sequence) {
  LECTERN_CHECK(static_cast<size_t>(sequence.length()) == tokens.size());
  if (tokens.empty()) return;
  sequence.truncate(sequence.length());  // pages that were reserved and not filled
  entries_.remove_if(
      [&](const Entry& entry) { return common_prefix(entry.tokens, tokens) == entry.tokens.size(); });
  entries_.push_back({{tokens.begin(), tokens.end()}, std::move(sequence)});
  if (entries_.size() > kMaxEntries) entries_.pop_front();
}

int PrefixCache::n_reclaimable() const {
  std::vector<int> remembered(static_cast<size_t>(backend_.kv_pages().n_pages()), 0);
  int n = 0;
  for (const Entry& entry : entries_) {
    for (const KvPageId page : entry.sequence.pages()) {
      if (++remembered[static_cast<size_t>(page)] == backend_.kv_pages().references(page)) ++n;
    }
  }
  return n;
}

}  // namespace lectern
