// What the benchmarks of CUDA kernels share: timing, and lines with the rate and its share of what the
// device's memory was measured to do in the same run. Every result is compared with a reference before it is
// timed. Throws std::runtime_error where CUDA fails. Not thread-safe.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <string>

namespace lectern::bench {

inline constexpr int kLaunches = 200;  // of a graph

class Bench {
 public:
  // Only kernels whose name contains `filter` are run.
  explicit Bench(std::string filter);
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  cudaStream_t stream() const { return stream_; }
  bool wanted(const std::string& name) const { return name.find(filter_) != std::string::npos; }
  // So many copies of `bytes` do not fit into the cache: launches that take one after the other read memory.
  int copies(double bytes) const;
  // Prints a line at the first wrong result of each kernel; then `failed()`.
  void check(const std::string& name, double got, double expected, double allowed);
  bool failed() const { return !wrong_.empty(); }

  // The best of several runs of a captured graph of launches launch(0), launch(1), ...: seconds of one.
  double seconds(const std::function<void(int)>& launch, int n_launches = kLaunches);
  // Times so many launches and prints a line: microseconds and TFLOP/s.
  void arithmetic(const std::string& name, double operations, int n_launches,
                  const std::function<void(int)>& launch);
  // Times `launch` and prints a line: microseconds, GB/s, the share of the copy bandwidth.
  void memory(const std::string& name, double bytes, const std::function<void(int)>& launch);

 private:
  std::string filter_;
  cudaStream_t stream_ = nullptr;
  double copy_rate_ = 0;  // bytes a second, read and written
  size_t cache_bytes_ = 0;
  std::string wrong_;  // the last kernel whose result was wrong
};

// One for each family of kernels.
void bench_attention(Bench& bench);
void bench_rows(Bench& bench);
void bench_matrices(Bench& bench);

}  // namespace lectern::bench
