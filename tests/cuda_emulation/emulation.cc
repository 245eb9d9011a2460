#include "tests/cuda_emulation/emulation.h"

#include <setjmp.h>
#include <ucontext.h>

#include <deque>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace lectern::emulation {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr size_t kSharedBytes = size_t{256} << 10;

enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

struct Fiber {
  ucontext_t context;  // where it begins
  jmp_buf place;       // where it goes on
  bool begun = false;
  std::unique_ptr<std::byte[]> stack;
  State state = State::kReady;
  Thread thread;
  int lane = 0, warp = 0;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> committed;
};

struct Machine {
  jmp_buf scheduler;
  std::vector<std::unique_ptr<Fiber>> fibers;  // kept from block to block for their stacks
  size_t n_threads = 0;
  Fiber* current = nullptr;
  const std::function<void()>* body = nullptr;
  std::exception_ptr failure;
  std::vector<std::byte> slots;
  alignas(1024) std::byte shared[kSharedBytes];
  bool reverse = false;
};

Machine& machine() {
  static Machine machine;
  return machine;
}

void fiber_main() {
  Machine& m = machine();
  try {
    (*m.body)();
  } catch (...) {
    if (!m.failure) m.failure = std::current_exception();
  }
  m.current->state = State::kDone;
  _longjmp(m.scheduler, 1);
}

// Lets a fiber run until it waits. Jumps, unlike swapcontext, do not ask the system for the signal mask each
// time.
void resume(Fiber& fiber) {
  Machine& m = machine();
  m.current = &fiber;
  if (_setjmp(m.scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  setcontext(&fiber.context);
}

void wait(State state) {
  Machine& m = machine();
  Fiber* fiber = m.current;
  fiber->state = state;
  if (_setjmp(fiber->place) == 0) _longjmp(m.scheduler, 1);
}

// Lets go the threads of [begin, end) when all of them wait at `barrier`; true when some were.
bool release(size_t begin, size_t end, State barrier) {
  Machine& m = machine();
  for (size_t i = begin; i < end; ++i)
    if (m.fibers[i]->state != barrier) return false;
  for (size_t i = begin; i < end; ++i) m.fibers[i]->state = State::kReady;
  return begin < end;
}

void run_block() {
  Machine& m = machine();
  size_t n_done = 0;
  while (n_done < m.n_threads) {
    bool progress = false;
    for (size_t k = 0; k < m.n_threads; ++k) {
      Fiber& fiber = *m.fibers[m.reverse ? m.n_threads - 1 - k : k];
      if (fiber.state != State::kReady) continue;
      progress = true;
      resume(fiber);
      if (m.failure) return;
      if (fiber.state == State::kDone) ++n_done;
    }
    for (size_t warp = 0; warp < m.n_threads; warp += 32)
      progress |= release(warp, std::min(warp + 32, m.n_threads), State::kAtWarpBarrier);
    progress |= release(0, m.n_threads, State::kAtBlockBarrier);
    if (!progress && n_done < m.n_threads)
      throw std::logic_error("some threads of a block wait at a barrier that others never reach");
  }
}

}  // namespace

const Thread& this_thread() {
  return machine().current->thread;
}

int lane() {
  return machine().current->lane;
}

void set_reverse_order(bool reverse) {
  machine().reverse = reverse;
}

std::byte* dynamic_shared() {
  return machine().shared;
}

std::byte* warp_slots() {
  Machine& m = machine();
  return m.slots.data() + static_cast<size_t>(m.current->warp) * 32 * kSlotBytes;
}

void block_barrier() {
  wait(State::kAtBlockBarrier);
}

void warp_barrier() {
  wait(State::kAtWarpBarrier);
}

void defer_copy(void* to, const void* from, size_t bytes) {
  machine().current->open.push_back({to, from, bytes});
}

void commit_copies() {
  Fiber& fiber = *machine().current;
  fiber.committed.push_back(std::move(fiber.open));
  fiber.open.clear();
}

void wait_copies(int groups_left) {
  Fiber& fiber = *machine().current;
  while (fiber.committed.size() > static_cast<size_t>(groups_left)) {
    for (const Copy& copy : fiber.committed.front()) std::memcpy(copy.to, copy.from, copy.bytes);
    fiber.committed.pop_front();
  }
}

void run(Index grid, Index block, size_t shared_bytes, const std::function<void()>& body) {
  Machine& m = machine();
  if (shared_bytes > kSharedBytes) throw std::logic_error("more shared memory than a block can have");
  m.n_threads = size_t{block.x} * block.y * block.z;
  m.slots.assign((m.n_threads + 31) / 32 * 32 * kSlotBytes, std::byte{0});
  m.body = &body;
  m.failure = nullptr;
  while (m.fibers.size() < m.n_threads) {
    m.fibers.push_back(std::make_unique<Fiber>());
    m.fibers.back()->stack = std::make_unique<std::byte[]>(kStackBytes);
  }
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        std::memset(m.shared, 0xff, shared_bytes);
        for (size_t i = 0; i < m.n_threads; ++i) {
          Fiber& fiber = *m.fibers[i];
          const auto t = static_cast<unsigned>(i);
          fiber.thread = {
              {t % block.x, t / block.x % block.y, t / block.x / block.y}, {x, y, z}, block, grid};
          fiber.lane = static_cast<int>(i % 32);
          fiber.warp = static_cast<int>(i / 32);
          fiber.state = State::kReady;
          fiber.begun = false;
          fiber.open.clear();
          fiber.committed.clear();
          getcontext(&fiber.context);
          fiber.context.uc_stack.ss_sp = fiber.stack.get();
          fiber.context.uc_stack.ss_size = kStackBytes;
          fiber.context.uc_link = nullptr;
          makecontext(&fiber.context, fiber_main, 0);
        }
        run_block();
        if (m.failure) std::rethrow_exception(m.failure);
      }
}

}  // namespace lectern::emulation
