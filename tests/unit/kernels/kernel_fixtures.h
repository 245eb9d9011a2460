// What the tests of the CPU kernels share: every bundle that runs here, guarded buffers, packed matrices.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <vector>

#include "kernels/common/types.h"
#include "kernels/cpu/dispatch.h"
#include "tests/unit/kernels/random_numbers.h"

namespace lectern {

inline std::vector<const KernelTable*> runnable_tables() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : all_kernel_tables()) {
    if (can_run(*table)) tables.push_back(table);
  }
  return tables;
}

// n elements that end where an unreadable page begins (up to the alignment asked for), so that reading or
// writing past the end faults. Filled with 0xff bytes: NaN as floats.
template <typename T>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t n, size_t alignment = alignof(T)) : n_(n) {
    constexpr size_t kPage = 4096;
    const size_t bytes = (n * sizeof(T) + alignment - 1) / alignment * alignment;
    mapped_ = (bytes + kPage - 1) / kPage * kPage + kPage;
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    std::memset(base_, 0xff, mapped_ - kPage);
    ::mprotect(base_ + mapped_ - kPage, kPage, PROT_NONE);
    data_ = reinterpret_cast<T*>(base_ + mapped_ - kPage - bytes);
  }
  ~GuardedBuffer() { ::munmap(base_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return n_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  // Nothing was written before the first element.
  bool front_untouched() const {
    for (const std::byte* p = base_; p < reinterpret_cast<const std::byte*>(data_); ++p) {
      if (*p != std::byte{0xff}) return false;
    }
    return true;
  }

 private:
  size_t n_;
  size_t mapped_ = 0;
  std::byte* base_ = nullptr;
  T* data_ = nullptr;
};

// A matrix packed whole by a bundle, and activations as it wants them.
class PackedWeights {
 public:
  PackedWeights(const KernelTable& table, DType dtype, const std::vector<uint8_t>& src, int32_t rows,
                int32_t cols);
  const PackedMatrix& matrix() const { return matrix_; }
  std::span<const uint8_t> bytes() const { return {buffer_.data(), buffer_.size()}; }

 private:
  GuardedBuffer<uint8_t> buffer_;
  PackedMatrix matrix_;
};

// matmul over all rows: [n_tokens, rows].
std::vector<float> run_matmul(const KernelTable& table, const PackedMatrix& w, const std::vector<float>& x,
                              int32_t n_tokens, const float* bias);

}  // namespace lectern
