// Runs CUDA kernels on the host, for tests: one block after the other, its threads as fibers of one thread,
// which change only where the kernel waits for others. It shows wrong indices, wrong arithmetic, missing
// barriers between warps (AddressSanitizer and a second run with the threads in reverse order help), and
// uneven ones; it says nothing about speed, and cannot show what only real hardware does. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

struct dim3;

namespace lectern::emulation {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
struct Thread {
  Index thread, block, block_size, grid_size;
};
const Thread& this_thread();
int lane();

// Whether the fibers of a block take turns from the last to the first.
void set_reverse_order(bool reverse);

// Runs `body` once for each thread of each block.
void run(Index grid, Index block, size_t shared_bytes, const std::function<void()>& body);
// The block's dynamic shared memory, filled with 0xff at the block's start, so that reading what nobody wrote
// gives NaN.
std::byte* dynamic_shared();

// Throw std::logic_error (out of run) when some of the threads have ended or wait at the other barrier.
void block_barrier();
void warp_barrier();  // all 32 threads of a warp, or what the block has of them

// Where the threads of a warp leave what others of it read: 32 * kSlotBytes of this thread's warp.
inline constexpr size_t kSlotBytes = 64;
std::byte* warp_slots();

template <typename T>
void put(const T& value) {
  static_assert(sizeof(T) <= kSlotBytes);
  std::memcpy(warp_slots() + static_cast<size_t>(lane()) * kSlotBytes, &value, sizeof(T));
}
template <typename T>
T get(int of_lane) {
  T value;
  std::memcpy(&value, warp_slots() + static_cast<size_t>(of_lane) * kSlotBytes, sizeof(T));
  return value;
}

template <typename T>
T shuffle(T value, int of_lane) {
  put(value);
  warp_barrier();
  const T result = get<T>(of_lane);
  warp_barrier();
  return result;
}

inline unsigned ballot(bool predicate) {
  put(predicate);
  warp_barrier();
  unsigned result = 0;
  for (int i = 0; i < 32; ++i) result |= static_cast<unsigned>(get<bool>(i)) << i;
  warp_barrier();
  return result;
}

// cp.async: copies are made when the thread waits for them, not before.
void defer_copy(void* to, const void* from, size_t bytes);
void commit_copies();
void wait_copies(int groups_left);

}  // namespace lectern::emulation
