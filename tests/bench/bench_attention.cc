// Attention of one KV head on the two models' shapes, prefill and decode, on one core.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "tests/bench/limits.h"

namespace lectern::bench {
namespace {

constexpr int32_t kPageTokens = 128;

struct Case {
  const char* name;
  int32_t group, head_dim, n_queries, first_position;
};

constexpr Case kCases[] = {
    {"0.5b/prefill:512", 7, 64, 512, 0},          {"0.5b/score:150@300", 7, 64, 150, 300},
    {"0.5b/prefill:512@8192", 7, 64, 512, 8192},  {"0.5b/decode@512", 7, 64, 1, 512},
    {"0.5b/decode@8192", 7, 64, 1, 8192},         {"1.5b/prefill:512", 6, 128, 512, 0},
    {"1.5b/prefill:512@4096", 6, 128, 512, 4096}, {"1.5b/score:150@300", 6, 128, 150, 300},
    {"1.5b/decode@512", 6, 128, 1, 512},          {"1.5b/decode@8192", 6, 128, 1, 8192},
};

void run_attention(benchmark::State& state, const KernelTable& table, const Case& c, KvType type) {
  const int32_t n_keys = c.first_position + c.n_queries;
  const int32_t n_pages = (n_keys + kPageTokens - 1) / kPageTokens;
  const size_t token_bytes = static_cast<size_t>(type == KvType::kInt8 ? c.head_dim + 4 : 2 * c.head_dim);
  const size_t page = kPageTokens * token_bytes;
  // Bytes 0x11: small numbers as halves, as bytes and as scales.
  const std::vector<uint8_t> k(page * static_cast<size_t>(n_pages), 0x11), v(k);
  std::vector<const void*> k_pages, v_pages;
  for (size_t p = 0; p < static_cast<size_t>(n_pages); ++p) {
    k_pages.push_back(k.data() + p * page);
    v_pages.push_back(v.data() + p * page);
  }
  const std::vector<float> q(static_cast<size_t>(c.n_queries * c.group * c.head_dim), 0.1f);
  std::vector<float> out(q.size());
  const size_t scratch_bytes = table.attention_scratch_bytes(c.group, c.head_dim, kPageTokens);
  void* scratch = std::aligned_alloc(64, scratch_bytes);
  for (auto _ : state) {
    table.attention({q.data(), c.group * c.head_dim, c.n_queries, c.group, c.head_dim, k_pages.data(),
                     v_pages.data(), type, type, kPageTokens, c.first_position, 0.125f, out.data(),
                     c.group * c.head_dim, scratch});
    benchmark::ClobberMemory();
  }
  std::free(scratch);
  double pairs = 0.0;  // of a query and a key it sees
  for (int32_t i = 0; i < c.n_queries; ++i) pairs += c.first_position + i + 1;
  const double operations = 4.0 * pairs * c.group * c.head_dim;
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GFLOPS"] = benchmark::Counter(operations / 1e9, rate);
  state.counters["of_ops"] = benchmark::Counter(operations / limits().float_ops, rate);
  state.counters["kv_GB/s"] = benchmark::Counter(2.0 * n_keys * static_cast<double>(token_bytes) / 1e9, rate);
}

const bool registered = [] {
  for (const KernelTable* table : all_kernel_tables()) {
    if (!can_run(*table) || std::string(table->name) == "generic") continue;
    for (const Case& c : kCases) {
      for (const KvType type : {KvType::kF16, KvType::kInt8}) {
        const std::string name = std::string(table->name) + "/attention/" + c.name;
        benchmark::RegisterBenchmark((name + (type == KvType::kInt8 ? "/int8" : "")).c_str(),
                                     [=](benchmark::State& state) { run_attention(state, *table, c, type); })
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace lectern::bench
