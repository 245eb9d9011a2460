#include "tests/bench/limits.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/machine_limits.h"

namespace lectern::bench {
namespace {

// The CPU time of this thread in seconds: other programs' turns on the core do not count.
double thread_seconds() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The shortest of many short runs: the machine at its quietest.
template <typename Run>
double best_seconds(int runs, const Run& run) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const double start = thread_seconds();
    run();
    best = std::min(best, thread_seconds() - start);
  }
  return best;
}

// Operations a second of a loop that returns how many it did.
double rate_of(uint64_t (*loop)(uint64_t rounds)) {
  constexpr uint64_t kRounds = 200000;
  const auto operations = static_cast<double>(loop(1000)) / 1000 * kRounds;
  return operations / best_seconds(200, [&] { loop(kRounds); });
}

double measure_read() {
  constexpr size_t kBytes = size_t{256} << 20;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::madvise(memory, kBytes, MADV_HUGEPAGE);
  std::memset(memory, 1, kBytes);
  volatile uint64_t sink = 0;
  const double seconds = best_seconds(8, [&] { sink = sink + machine_limits().read(memory, kBytes); });
  ::munmap(memory, kBytes);
  return kBytes / seconds;
}

}  // namespace

const Limits& limits() {
  static const Limits measured = {.int8_ops = rate_of(machine_limits().int8_products),
                                  .float_ops = rate_of(machine_limits().float_products),
                                  .read_bytes = measure_read()};
  return measured;
}

}  // namespace lectern::bench
