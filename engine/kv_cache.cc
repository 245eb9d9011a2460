#include "engine/kv_cache.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace lectern {

KvPagePool::KvPagePool(int n_pages) : references_(static_cast<size_t>(n_pages), 0) {
  free_.reserve(references_.size());
  for (int page = n_pages - 1; page >= 0; --page) free_.push_back(page);
}

KvPageId KvPagePool::allocate() {
  if (free_.empty()) {
    throw Error(ErrorCode::kResourceExhausted,
                "the KV cache is full (" + std::to_string(n_pages()) + " pages of " +
                    std::to_string(kKvPageTokens) +
                    " tokens); shorten the request or raise the cache's capacity");
  }
  const KvPageId page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void KvPagePool::retain(KvPageId page) {
  LECTERN_CHECK(references(page) > 0);
  ++references_[static_cast<size_t>(page)];
}

void KvPagePool::release(KvPageId page) {
  LECTERN_CHECK(references(page) > 0);
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_), pages_(std::exchange(other.pages_, {})), length_(std::exchange(other.length_, 0)) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(pages_, other.pages_);
  std::swap(length_, other.length_);
  return *this;
}

void KvSequence::reserve(int n) {
  const auto needed = static_cast<size_t>((length_ + n + kKvPageTokens - 1) / kKvPageTokens);
  const size_t before = pages_.size();
  try {
    while (pages_.size() < needed) pages_.push_back(pool_->allocate());
  } catch (...) {
    while (pages_.size() > before) {
      pool_->release(pages_.back());
      pages_.pop_back();
    }
    throw;
  }
}

void KvSequence::truncate(int length) {
  const auto needed = static_cast<size_t>((length + kKvPageTokens - 1) / kKvPageTokens);
  while (pages_.size() > needed) {
    pool_->release(pages_.back());
    pages_.pop_back();
  }
  if (length < length_) length_ = length;
}

KvSequence KvSequence::fork(int length) const {
  LECTERN_CHECK(length <= length_);
  KvSequence result(*pool_);
  const auto n_pages = static_cast<size_t>(length / kKvPageTokens);
  for (size_t i = 0; i < n_pages; ++i) {
    pool_->retain(pages_[i]);
    result.pages_.push_back(pages_[i]);
  }
  result.length_ = static_cast<int>(n_pages) * kKvPageTokens;
  return result;
}

}  // namespace lectern
