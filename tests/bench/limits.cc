#include "tests/bench/limits.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/machine_limits.h"

namespace lectern::bench {
namespace {

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

double measure_read() {
  constexpr size_t kBytes = size_t{256} << 20;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::madvise(memory, kBytes, MADV_HUGEPAGE);
  std::memset(memory, 1, kBytes);
  volatile int32_t sink = 0;
  const double seconds = best_seconds(8, [&] { sink = sink + read_loop(memory, kBytes); });
  ::munmap(memory, kBytes);
  return kBytes / seconds;
}

double measure_int8() {
  double best = 0.0;
  for (int i = 0; i < 200; ++i) {
    const double start = thread_seconds();
    const auto operations = static_cast<double>(machine_limits().int8_products(50000));
    best = std::max(best, operations / (thread_seconds() - start));
  }
  return best;
}

}  // namespace

double thread_seconds() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const Limits& limits() {
  static const Limits measured = [] {
    constexpr int64_t kLoops = 200000;
    volatile double sink = 0;
    return Limits{
        .int8_ops = measure_int8(),
        .float_ops = kLoops * 10 * 16 / best_seconds(200, [&] { sink = sink + float_loop(kLoops); }),
        .read_bytes = measure_read(),
    };
  }();
  return measured;
}

}  // namespace lectern::bench
