// A fixed team of threads for fork-join loops, made for the hundreds of short regions of one forward pass:
// workers spin briefly before they sleep, so starting a region costs about a microsecond. One region at a
// time; call run() from one thread only. The caller works too, so a pool of 1 starts no thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lectern {

class ThreadPool {
 public:
  static constexpr int kMaxThreads = 1024;  // that a user can ask for

  // n_threads counts the caller; 0 means one per processor this process may use. Throws
  // Error(kResourceExhausted) when the system allows no more threads.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(index, worker) for every index in [0, n_tasks), each once, on some worker in [0, size());
  // returns when all are done. The first exception thrown by a task is rethrown here, after the others have
  // finished.
  void run(int n_tasks, const std::function<void(int index, int worker)>& task);

  static int default_size();

 private:
  void stop_workers();
  void worker_loop(int worker);
  void drain(int worker);

  // Tasks of the region at hand that nobody has claimed yet, under the region's number: (region << 32) |
  // unclaimed. A claim is one compare-and-swap, so a worker that wakes up late can neither take part in a
  // region that is over nor hold one up: the caller waits only for tasks that somebody has claimed.
  std::atomic<uint64_t> state_{0};
  std::atomic<int> n_finished_{0};
  const std::function<void(int, int)>* task_ = nullptr;  // read only after a claim
  int n_tasks_ = 0;
  std::atomic<bool> stop_{false};
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::vector<std::thread> workers_;
};

}  // namespace lectern
