// Matrix products on the shapes of the two models that the tests use, on one core.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "tests/bench/limits.h"

namespace lectern::bench {
namespace {

struct Shape {
  const char* name;
  DType dtype;
  int32_t rows, cols;
};

constexpr Shape kShapes[] = {
    {"0.5b/attn_q", DType::kQ5_0, 896, 896},     {"0.5b/ffn_up", DType::kQ5_0, 4864, 896},
    {"0.5b/ffn_down", DType::kQ4_K, 896, 4864},  {"0.5b/ffn_down", DType::kQ6_K, 896, 4864},
    {"0.5b/attn_v", DType::kQ8_0, 128, 896},     {"0.5b/output", DType::kQ8_0, 151936, 896},
    {"1.5b/attn_q", DType::kQ4_K, 1536, 1536},   {"1.5b/attn_k", DType::kQ4_K, 256, 1536},
    {"1.5b/ffn_up", DType::kQ4_K, 8960, 1536},   {"1.5b/ffn_down", DType::kQ4_K, 1536, 8960},
    {"1.5b/ffn_down", DType::kQ6_K, 1536, 8960}, {"1.5b/output", DType::kQ6_K, 151936, 1536},
    {"other/ffn_up", DType::kQ4_0, 4864, 896},   {"other/ffn_up", DType::kQ5_K, 8960, 1536},
    {"other/ffn_up", DType::kF16, 4864, 896},
};

// Zeroed memory in huge pages, where the system grants them.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) {
    data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::madvise(data_, bytes, MADV_HUGEPAGE);
    std::memset(data_, 0x11, bytes);  // quants that are not all zero; the values do not matter for the time
  }
  ~Memory() { ::munmap(data_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }

 private:
  size_t bytes_;
  void* data_;
};

void run_matmul(benchmark::State& state, const KernelTable& table, const Shape& shape, int32_t n_tokens) {
  const int32_t tiles = (shape.rows + kRowTile - 1) / kRowTile;
  const size_t weight_bytes = table.row_tile_bytes(shape.dtype, shape.cols) * static_cast<size_t>(tiles);
  const Memory weights(weight_bytes);
  const PackedMatrix w = {weights.data(), shape.dtype, shape.rows, shape.cols,
                          table.row_tile_bytes(shape.dtype, shape.cols)};
  const std::vector<float> x(static_cast<size_t>(n_tokens) * static_cast<size_t>(shape.cols), 0.5f);
  const Memory activations(table.activation_bytes(shape.dtype, n_tokens, shape.cols));
  table.quantize(shape.dtype, x.data(), shape.cols, n_tokens, shape.cols, 0, n_tokens, activations.data());
  std::vector<float> y(static_cast<size_t>(n_tokens) * static_cast<size_t>(shape.rows));
  for (auto _ : state) {
    table.matmul({&w, activations.data(), n_tokens, 0, shape.rows, nullptr, y.data(), shape.rows, false});
    benchmark::ClobberMemory();
  }
  const double operations = 2.0 * n_tokens * shape.rows * shape.cols;
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  const bool is_float = kDTypeInfo[static_cast<int>(shape.dtype)].block_elements == 1;
  state.counters["GOPS"] = benchmark::Counter(operations / 1e9, rate);
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(weight_bytes) / 1e9, rate);
  state.counters["of_ops"] =
      benchmark::Counter(operations / (is_float ? limits().float_ops : limits().int8_ops), rate);
  state.counters["of_read"] =
      benchmark::Counter(static_cast<double>(weight_bytes) / limits().read_bytes, rate);
}

void run_quantize(benchmark::State& state, const KernelTable& table, DType dtype, int32_t cols) {
  constexpr int32_t kTokens = 64;
  const std::vector<float> x(static_cast<size_t>(kTokens) * static_cast<size_t>(cols), 0.5f);
  const Memory activations(table.activation_bytes(dtype, kTokens, cols));
  for (auto _ : state) {
    table.quantize(dtype, x.data(), cols, kTokens, cols, 0, kTokens, activations.data());
    benchmark::ClobberMemory();
  }
  state.counters["Gvalues/s"] = benchmark::Counter(static_cast<double>(kTokens) * cols / 1e9,
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

void run_pack(benchmark::State& state, const KernelTable& table, const Shape& shape) {
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(shape.dtype)];
  const size_t bytes = static_cast<size_t>(shape.rows) * static_cast<size_t>(shape.cols) /
                       static_cast<size_t>(info.block_elements) * static_cast<size_t>(info.block_bytes);
  const int32_t tiles = (shape.rows + kRowTile - 1) / kRowTile;
  const Memory file(bytes),
      packed(table.row_tile_bytes(shape.dtype, shape.cols) * static_cast<size_t>(tiles));
  for (auto _ : state) {
    table.pack(shape.dtype, file.data(), shape.rows, shape.cols, 0, tiles, packed.data());
    benchmark::ClobberMemory();
  }
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

// The machine's limits, first in the report.
void run_limits(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(&limits());
  state.counters["int8_GOPS"] = limits().int8_ops / 1e9;
  state.counters["float_GFLOPS"] = limits().float_ops / 1e9;
  state.counters["read_GB/s"] = limits().read_bytes / 1e9;
}

const bool registered = [] {
  benchmark::RegisterBenchmark("limits", run_limits)->Iterations(1);
  for (const KernelTable* table : all_kernel_tables()) {
    if (!can_run(*table) || std::string(table->name) == "generic") continue;
    const std::string prefix = table->name;
    for (const Shape& shape : kShapes) {
      const std::string name =
          std::string("/") + kDTypeInfo[static_cast<int>(shape.dtype)].name + "/" + shape.name;
      for (int32_t n_tokens : {512, 150, 16, 9, 4, 1}) {
        if (shape.rows > 100000 && n_tokens > 4) continue;
        benchmark::RegisterBenchmark(
            (prefix + "/matmul" + name + "/tokens:" + std::to_string(n_tokens)).c_str(),
            [=](benchmark::State& state) { run_matmul(state, *table, shape, n_tokens); })
            ->Unit(benchmark::kMicrosecond);
      }
      if (shape.rows < 100000) {
        benchmark::RegisterBenchmark((prefix + "/pack" + name).c_str(), [=](benchmark::State& state) {
          run_pack(state, *table, shape);
        })->Unit(benchmark::kMicrosecond);
      }
    }
    for (DType dtype : {DType::kQ5_0, DType::kQ4_K}) {
      const std::string name = std::string(prefix) + "/quantize/" + kDTypeInfo[static_cast<int>(dtype)].name;
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        run_quantize(state, *table, dtype, 1536);
      })->Unit(benchmark::kMicrosecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace lectern::bench
