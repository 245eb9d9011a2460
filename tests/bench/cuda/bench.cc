#include "tests/bench/cuda/bench.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <utility>

#include "tests/unit/cuda/device_buffer.h"

namespace lectern::bench {
namespace {

using test::DeviceBuffer;
using test::must;

constexpr int kRuns = 5;

class Event {
 public:
  Event() { must(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

Bench::Bench(std::string filter) : filter_(std::move(filter)) {
  must(cudaStreamCreate(&stream_));
  cudaDeviceProp properties;
  must(cudaGetDeviceProperties(&properties, 0));
  cache_bytes_ = static_cast<size_t>(properties.l2CacheSize);
  const size_t bytes = std::max(size_t{256} << 20, 8 * cache_bytes_);
  const DeviceBuffer<std::byte> from(bytes), to(bytes);
  must(cudaMemsetAsync(from.data(), 1, bytes, stream_));
  const double time = seconds(
      [&](int) { must(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, stream_)); });
  copy_rate_ = 2.0 * static_cast<double>(bytes) / time;
  std::printf("%s: copy bandwidth %.0f GB/s (read and written), cache %.0f MB\n", properties.name,
              copy_rate_ / 1e9, static_cast<double>(cache_bytes_) / 1e6);
  std::printf("%-44s %10s %10s %10s\n", "kernel", "us", "GB/s", "of copy");
}

Bench::~Bench() {
  cudaStreamDestroy(stream_);
}

int Bench::copies(double bytes) const {
  const double wanted = std::ceil(2.0 * static_cast<double>(cache_bytes_) / bytes);
  return static_cast<int>(std::clamp(wanted, 1.0, static_cast<double>(kLaunches)));
}

void Bench::check(const std::string& name, double got, double expected, double allowed) {
  if (std::abs(got - expected) <= allowed) return;
  if (name != wrong_) std::printf("%s is WRONG: %.8g instead of %.8g\n", name.c_str(), got, expected);
  wrong_ = name;
}

double Bench::seconds(const std::function<void(int)>& launch, int n_launches) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  must(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < n_launches; ++i) launch(i);
  must(cudaStreamEndCapture(stream_, &graph));
  must(cudaGraphInstantiate(&executable, graph, 0));
  const Event begin, end;
  float best_ms = INFINITY;
  for (int run = 0; run < kRuns; ++run) {  // the first warms up
    must(cudaEventRecord(begin.get(), stream_));
    must(cudaGraphLaunch(executable, stream_));
    must(cudaEventRecord(end.get(), stream_));
    must(cudaEventSynchronize(end.get()));
    float ms = 0;
    must(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    if (run > 0) best_ms = std::min(best_ms, ms);
  }
  must(cudaGetLastError());
  must(cudaGraphExecDestroy(executable));
  must(cudaGraphDestroy(graph));
  return best_ms / 1e3 / n_launches;
}

void Bench::arithmetic(const std::string& name, double operations, int n_launches,
                       const std::function<void(int)>& launch) {
  const double time = seconds(launch, n_launches);
  std::printf("%-44s %10.2f %10.1f TFLOP/s\n", name.c_str(), time * 1e6, operations / time / 1e12);
  std::fflush(stdout);
}

void Bench::memory(const std::string& name, double bytes, const std::function<void(int)>& launch) {
  const double time = seconds(launch), rate = bytes / time;
  std::printf("%-44s %10.2f %10.0f %9.1f%%\n", name.c_str(), time * 1e6, rate / 1e9,
              100.0 * rate / copy_rate_);
  std::fflush(stdout);
}

}  // namespace lectern::bench

// bench_cuda [PART OF A KERNEL'S NAME]. Exit code 1 when a result is wrong, 2 when CUDA fails.
int main(int argc, char** argv) {
  try {
    if (!lectern::test::has_device()) {
      std::printf("SKIPPED: no CUDA device\n");
      return 0;
    }
    lectern::bench::Bench bench(argc > 1 ? argv[1] : "");
    lectern::bench::bench_rows(bench);
    lectern::bench::bench_matrices(bench);
    lectern::bench::bench_attention(bench);
    return bench.failed() ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_cuda: %s\n", error.what());
    return 2;
  }
}
