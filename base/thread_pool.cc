#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace lectern {
namespace {

// Long enough to bridge the serial parts of a forward pass, short enough not to burn a core while idle.
constexpr int kSpins = 4000;

constexpr uint64_t kRegion = uint64_t{1} << 32;
constexpr uint64_t kUnclaimed = kRegion - 1;

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

int ThreadPool::default_size() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

ThreadPool::ThreadPool(int n_threads) {
  if (n_threads <= 0) n_threads = default_size();
  workers_.reserve(static_cast<size_t>(n_threads) - 1);
  try {
    for (int worker = 1; worker < n_threads; ++worker)
      workers_.emplace_back([this, worker] { worker_loop(worker); });
  } catch (const std::system_error& error) {
    stop_workers();
    throw Error(ErrorCode::kResourceExhausted, "the system allows no more than " + std::to_string(size()) +
                                                   " of " + std::to_string(n_threads) +
                                                   " threads: " + error.what() + "; ask for fewer");
  }
}

ThreadPool::~ThreadPool() {
  stop_workers();
}

void ThreadPool::stop_workers() {
  stop_.store(true);
  state_.fetch_add(kRegion);
  state_.notify_all();
  for (auto& thread : workers_) thread.join();
}

void ThreadPool::run(int n_tasks, const std::function<void(int, int)>& task) {
  if (n_tasks <= 0) return;
  task_ = &task;
  n_tasks_ = n_tasks;
  n_finished_.store(0, std::memory_order_relaxed);
  const uint64_t region = (state_.load(std::memory_order_relaxed) & ~kUnclaimed) + kRegion;
  state_.store(region | static_cast<uint64_t>(n_tasks), std::memory_order_release);
  if (n_tasks > 1 && !workers_.empty()) state_.notify_all();
  drain(0);
  for (int spins = 0; n_finished_.load(std::memory_order_acquire) != n_tasks; ++spins) {
    if (spins < kSpins) {
      pause_cpu();
    } else {
      std::this_thread::yield();
    }
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::drain(int worker) {
  uint64_t state = state_.load(std::memory_order_acquire);
  while ((state & kUnclaimed) != 0) {
    if (!state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    const int index = n_tasks_ - static_cast<int>(state & kUnclaimed);
    try {
      (*task_)(index, worker);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    n_finished_.fetch_add(1, std::memory_order_release);
    state = state_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker_loop(int worker) {
  while (!stop_.load()) {
    drain(worker);
    uint64_t state = state_.load(std::memory_order_acquire);
    for (int spins = 0; (state & kUnclaimed) == 0 && !stop_.load(std::memory_order_relaxed); ++spins) {
      if (spins < kSpins) {
        pause_cpu();
      } else {
        state_.wait(state, std::memory_order_acquire);
      }
      state = state_.load(std::memory_order_acquire);
    }
  }
}

}  // namespace lectern
