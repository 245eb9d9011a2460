// Kernels over rows, at a piece of a prompt and at one token, for the shapes of Qwen2.5-7B.
#include <cmath>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/reference.h"
#include "tests/bench/cuda/bench.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/kernels/random_numbers.h"

namespace lectern::bench {
namespace {

using test::DeviceBuffer;

// A few thousand random numbers, repeated.
std::vector<float> numbers(size_t n, uint32_t seed) {
  const auto few = random_floats(4099, seed);
  std::vector<float> result(n);
  for (size_t i = 0; i < n; ++i) result[i] = few[i % few.size()];
  return result;
}

std::vector<__nv_bfloat16> to_bf16(const std::vector<float>& values) {
  std::vector<__nv_bfloat16> result;
  result.reserve(values.size());
  for (const float value : values) result.push_back(__float2bfloat16_rn(value));
  return result;
}

std::string name_of(const char* kernel, int rows, int cols) {
  return std::string(kernel) + " " + std::to_string(rows) + " x " + std::to_string(cols);
}

void rmsnorm(Bench& bench, int n, int h) {
  const std::string name = name_of("rmsnorm", n, h);
  if (!bench.wanted(name)) return;
  const auto x = numbers(static_cast<size_t>(n) * static_cast<size_t>(h), 1);
  const auto weight = numbers(static_cast<size_t>(h), 2);
  const DeviceBuffer<float> device_x(x), device_weight(weight);
  const DeviceBuffer<__nv_bfloat16> out(x.size());
  const auto launch = [&](int) {
    cuda::rmsnorm(device_x.data(), device_weight.data(), n, h, 1e-6f, out.data(), bench.stream());
  };
  launch(0);
  test::must(cudaStreamSynchronize(bench.stream()));
  const auto got = out.values();
  for (const int row : {0, n - 1}) {
    const size_t at = static_cast<size_t>(row) * static_cast<size_t>(h);
    const auto expected = reference::rmsnorm(x.data() + at, weight.data(), h, 1e-6f);
    for (size_t c = 0; c < expected.size(); ++c)
      bench.check(name, __bfloat162float(got[at + c]), expected[c], 0.005 * std::abs(expected[c]) + 1e-5);
  }
  bench.memory(name, 6.0 * static_cast<double>(x.size()), launch);
}

void silu_mul(Bench& bench, int n, int cols) {
  const std::string name = name_of("silu_mul", n, cols);
  if (!bench.wanted(name)) return;
  const size_t size = static_cast<size_t>(n) * static_cast<size_t>(cols);
  const auto gate = to_bf16(numbers(size, 3)), up = to_bf16(numbers(size, 4));
  const DeviceBuffer<__nv_bfloat16> device_gate(gate), device_up(up);
  const auto launch = [&](int) {
    cuda::silu_mul(device_gate.data(), device_up.data(), static_cast<int64_t>(size), bench.stream());
  };
  launch(0);
  test::must(cudaStreamSynchronize(bench.stream()));
  const auto got = device_gate.values();
  for (size_t i = 0; i < size; i += 977) {
    const double expected = reference::silu(__bfloat162float(gate[i])) * __bfloat162float(up[i]);
    bench.check(name, __bfloat162float(got[i]), expected, 0.005 * std::abs(expected) + 1e-6);
  }
  bench.memory(name, 6.0 * static_cast<double>(size), launch);
}

}  // namespace

void bench_rows(Bench& bench) {
  for (const int n : {1, 8192}) {
    rmsnorm(bench, n, 3584);
    silu_mul(bench, n, 18944);
  }
}

}  // namespace lectern::bench
