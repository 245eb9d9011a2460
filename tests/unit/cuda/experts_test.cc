#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/cuda/thread_order.h"
#include "tests/unit/kernels/random_numbers.h"

using namespace lectern;
using namespace lectern::test;

namespace {

size_t size(int n) {
  return static_cast<size_t>(n);
}

std::vector<int32_t> random_experts(int n_slots, int n_experts, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int32_t> expert(0, n_experts - 1);
  std::vector<int32_t> experts;
  for (int i = 0; i < n_slots; ++i) experts.push_back(expert(random));
  return experts;
}

}  // namespace

TEST_CASE("cuda route takes the likeliest experts") {
  LECTERN_NEEDS_DEVICE();
  const int n_experts = GENERATE(4, 60, 64, 130);
  const bool renormalise = GENERATE(false, true);
  const int n = 11, top_k = 4;
  auto logits = random_floats(size(n * n_experts), 41, 3.0f);
  std::fill_n(logits.begin(), n_experts, 0.5f);  // all equal: the first ones
  logits[size(n_experts)] = logits[size(n_experts) + 3];
  const DeviceBuffer<float> device_logits(logits), weights(size(n * top_k));
  const DeviceBuffer<int32_t> experts(size(n * top_k));
  cuda::route(device_logits.data(), n, n_experts, top_k, renormalise, experts.data(), weights.data(),
              nullptr);
  const auto got = experts.values();
  const auto got_weights = weights.values();
  for (int token = 0; token < n; ++token) {
    const float* x = logits.data() + token * n_experts;
    const auto p = reference::softmax(x, n_experts, nullptr);
    std::vector<int> order(size(n_experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return x[a] > x[b]; });
    double chosen = 0;
    for (int i = 0; i < top_k; ++i) chosen += p[size(order[size(i)])];
    for (int i = 0; i < top_k; ++i) {
      const size_t at = size(token * top_k + i);
      CHECK(got[at] == order[size(i)]);
      CHECK(got_weights[at] ==
            Approx(p[size(order[size(i)])] / (renormalise ? chosen : 1.0)).epsilon(1e-5).margin(1e-12));
    }
  }
}

TEST_CASE("cuda route names experts that exist where logits are no numbers") {
  LECTERN_NEEDS_DEVICE();
  std::vector<float> logits(60, std::numeric_limits<float>::quiet_NaN());
  logits[7] = 1.0f;
  const DeviceBuffer<float> device_logits(logits), weights(4);
  const DeviceBuffer<int32_t> experts(4);
  cuda::route(device_logits.data(), 1, 60, 4, true, experts.data(), weights.data(), nullptr);
  for (const int32_t expert : experts.values()) CHECK((expert >= 0 && expert < 60));
  for (const float weight : weights.values()) CHECK(std::isnan(weight));
}

TEST_CASE("cuda group_by_expert sorts slots and keeps their order") {
  LECTERN_NEEDS_DEVICE();
  const int n_slots = GENERATE(1, 31, 256, 257, 1500), n_experts = GENERATE(1, 5, 60);
  auto experts = random_experts(n_slots, n_experts, 42);
  for (int32_t& expert : experts)
    if (expert == 2) expert = 3;  // one that nobody goes to
  if (n_experts == 1) std::fill(experts.begin(), experts.end(), 0);
  const DeviceBuffer<int32_t> device_experts(experts);
  in_both_orders([&] {
    const DeviceBuffer<int32_t> first_row(size(n_experts) + 1), row_of(size(n_slots));
    cuda::group_by_expert(device_experts.data(), n_slots, n_experts, first_row.data(), row_of.data(),
                          nullptr);
    std::vector<int32_t> order(size(n_slots));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return experts[size(a)] < experts[size(b)]; });
    const auto rows = row_of.values(), firsts = first_row.values();
    for (int row = 0; row < n_slots; ++row) REQUIRE(rows[size(order[size(row)])] == row);
    for (int e = 0; e <= n_experts; ++e)
      REQUIRE(firsts[size(e)] ==
              std::count_if(experts.begin(), experts.end(), [e](int32_t x) { return x < e; }));
  });
}

TEST_CASE("cuda combine_experts adds what scatter_to_experts sent out") {
  LECTERN_NEEDS_DEVICE();
  const int n = 5, top_k = 3, h = GENERATE(8, 72, 1544);
  const bool with_shared = GENERATE(false, true);
  const int n_slots = n * top_k;
  const auto floats = random_floats(size(n * h), 43);
  std::vector<__nv_bfloat16> x;
  for (const float value : floats) x.push_back(__float2bfloat16_rn(value));
  std::vector<int32_t> row_of(size(n_slots));
  for (int i = 0; i < n_slots; ++i)
    row_of[size(i)] = i * 7 % n_slots;  // a permutation: 7 and 15 share no factor

  const DeviceBuffer<__nv_bfloat16> device_x(x), grouped(size(n_slots * h));
  const DeviceBuffer<int32_t> device_rows(row_of);
  cuda::scatter_to_experts(device_x.data(), device_rows.data(), n_slots, top_k, h, grouped.data(), nullptr);
  const auto sent = grouped.values();
  for (int slot = 0; slot < n_slots; ++slot)
    for (int c = 0; c < h; ++c)
      REQUIRE(__bfloat162float(sent[size(row_of[size(slot)] * h + c)]) ==
              __bfloat162float(x[size(slot / top_k * h + c)]));

  const auto y = random_floats(size(n_slots * h), 44), weights = random_floats(size(n_slots), 45);
  const auto gate = random_floats(size(h), 46, 0.3f), shared = random_floats(size(n * h), 47);
  const auto residual = random_floats(size(n * h), 48);
  const DeviceBuffer<float> device_y(y), device_weights(weights), device_gate(gate), device_shared(shared);
  in_both_orders([&] {
    const DeviceBuffer<float> out(residual);
    cuda::combine_experts(device_y.data(), device_rows.data(), device_weights.data(), device_x.data(),
                          with_shared ? device_gate.data() : nullptr,
                          with_shared ? device_shared.data() : nullptr, n, top_k, h, out.data(), nullptr);
    const auto got = out.values();
    for (int token = 0; token < n; ++token) {
      double dot = 0;
      for (int c = 0; c < h; ++c) dot += __bfloat162float(x[size(token * h + c)]) * double{gate[size(c)]};
      for (int c = 0; c < h; ++c) {
        const size_t at = size(token * h + c);
        double expected = residual[at];
        for (int slot = token * top_k; slot < (token + 1) * top_k; ++slot)
          expected += double{weights[size(slot)]} * y[size(row_of[size(slot)] * h + c)];
        if (with_shared) expected += shared[at] / (1.0 + std::exp(-dot));
        REQUIRE(got[at] == Approx(expected).epsilon(1e-4).margin(1e-4));
      }
    }
  });
}
