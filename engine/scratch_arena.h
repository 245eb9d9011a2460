// Short-lived arrays of a forward pass: taken in order, given back all at once at the end of a scope, and the
// memory kept for the next pass. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace lectern {

class ScratchArena {
 public:
  // Uninitialised, aligned to 64 bytes, valid until the enclosing Scope ends.
  template <typename T>
  T* take(size_t n) {
    static_assert(std::is_trivially_destructible_v<T>);
    return reinterpret_cast<T*>(take_bytes(n * sizeof(T)));
  }

  class Scope {
   public:
    explicit Scope(ScratchArena& arena) : arena_(arena), block_(arena.block_), used_(arena.used_) {}
    ~Scope() {
      arena_.block_ = block_;
      arena_.used_ = used_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    ScratchArena& arena_;
    size_t block_, used_;
  };

 private:
  static constexpr std::align_val_t kAlignment{64};
  static constexpr size_t kMinBlock = size_t{1} << 20;
  struct Free {
    void operator()(std::byte* data) const { ::operator delete(data, kAlignment); }
  };
  struct Block {
    std::unique_ptr<std::byte, Free> data;
    size_t size;
  };

  std::byte* take_bytes(size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].size) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) {
      const size_t size = bytes < kMinBlock ? kMinBlock : bytes;
      blocks_.push_back(
          {std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(::operator new(size, kAlignment))),
           size});
    }
    std::byte* data = blocks_[block_].data.get() + used_;
    used_ += bytes;
    return data;
  }

  std::vector<Block> blocks_;
  size_t block_ = 0;  // the one in use
  size_t used_ = 0;   // bytes of it
};

}  // namespace lectern
