// The kernels that only stream through a row, on rows that stay in a cache.
#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/cpu/dispatch.h"

namespace lectern::bench {
namespace {

constexpr int32_t kRow = 8960;

void run_row(benchmark::State& state, const std::function<void(float*, const float*)>& kernel) {
  std::vector<float> x(kRow, 0.5f);
  const std::vector<float> y(kRow, 0.25f);
  for (auto _ : state) {
    kernel(x.data(), y.data());
    benchmark::ClobberMemory();
  }
  state.counters["Gvalues/s"] = benchmark::Counter(kRow / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  for (const KernelTable* table : all_kernel_tables()) {
    if (!can_run(*table) || std::string(table->name) == "generic") continue;
    const auto add = [&](const char* name, std::function<void(float*, const float*)> kernel) {
      benchmark::RegisterBenchmark((std::string(table->name) + "/" + name).c_str(),
                                   [=](benchmark::State& state) { run_row(state, kernel); });
    };
    static std::vector<float> out(kRow);
    add("rmsnorm", [=](float* x, const float* y) { table->rmsnorm(x, y, kRow, 1e-6f, out.data()); });
    add("rope", [=](float* x, const float* y) { table->rope(x, y, kRow / 128, 128); });
    add("silu_mul", [=](float* x, const float* y) { table->silu_mul(x, y, kRow); });
    add("add", [=](float* x, const float* y) { table->add(x, y, kRow); });
    add("softmax", [=](float* x, const float*) { table->softmax(x, kRow); });
    add("to_half",
        [=](float* x, const float*) { table->to_half(x, kRow, reinterpret_cast<uint16_t*>(out.data())); });
  }
  return true;
}();

}  // namespace
}  // namespace lectern::bench
