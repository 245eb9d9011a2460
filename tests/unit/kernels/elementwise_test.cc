#include <cmath>
#include <numeric>

#include "kernels/reference/dequantize.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/kernels/kernel_fixtures.h"

namespace lectern {
namespace {

// Every vector kernel below is at most a dozen float operations an element; an exponential adds 2^-21.
constexpr double kRelative = 0x1p-20;

TEST_CASE("rmsnorm equals the reference") {
  for (const KernelTable* table : runnable_tables()) {
    for (int32_t n : {1, 7, 8, 64, 100, 896, 1536}) {
      const auto x = random_floats(static_cast<size_t>(n), 1, 3.0f);
      const auto weight = random_floats(static_cast<size_t>(n), 2);
      const auto truth = reference::rmsnorm(x.data(), weight.data(), n, 1e-6);
      GuardedBuffer<float> out(static_cast<size_t>(n));
      table->rmsnorm(x.data(), weight.data(), n, 1e-6f, out.data());
      INFO(table->name << " n " << n);
      for (size_t i = 0; i < truth.size(); ++i) {
        CHECK(std::abs(out[i] - truth[i]) <= 4 * kRelative * std::abs(truth[i]));
      }
      CHECK(out.front_untouched());
    }
  }
}

TEST_CASE("rmsnorm keeps finite where a few channels are giants") {
  for (const KernelTable* table : runnable_tables()) {
    auto x = random_floats(896, 3);
    x[17] = 1.5e4f;
    const std::vector<float> weight(896, 1.0f);
    std::vector<float> out(896);
    table->rmsnorm(x.data(), weight.data(), 896, 1e-6f, out.data());
    CHECK(out[17] == Approx(std::sqrt(896.0)).epsilon(1e-3));
  }
}

TEST_CASE("rope rotates the halves of every head") {
  for (const KernelTable* table : runnable_tables()) {
    for (int32_t head_dim : {2, 8, 64, 80, 128}) {
      const int32_t n_heads = 3;
      GuardedBuffer<float> x(static_cast<size_t>(n_heads * head_dim));
      const auto start = random_floats(x.size(), 4);
      std::copy(start.begin(), start.end(), x.data());
      std::vector<float> cos_sin(static_cast<size_t>(head_dim));
      for (size_t i = 0; i < cos_sin.size() / 2; ++i) {
        cos_sin[i] = std::cos(static_cast<float>(i + 1));
        cos_sin[cos_sin.size() / 2 + i] = std::sin(static_cast<float>(i + 1));
      }
      table->rope(x.data(), cos_sin.data(), n_heads, head_dim);
      for (int32_t h = 0; h < n_heads; ++h) {
        const size_t at = static_cast<size_t>(h * head_dim);
        const auto truth = reference::rope(start.data() + at, cos_sin.data(), head_dim);
        INFO(table->name << " head_dim " << head_dim);
        for (size_t i = 0; i < truth.size(); ++i) CHECK(std::abs(x[at + i] - truth[i]) <= 8 * kRelative);
      }
    }
  }
}

TEST_CASE("silu_mul equals the reference, far out as well") {
  for (const KernelTable* table : runnable_tables()) {
    for (size_t n : {size_t{0}, size_t{1}, size_t{5}, size_t{8}, size_t{100}, size_t{4864}}) {
      GuardedBuffer<float> gate(n);
      const auto start = random_floats(n, 5, 6.0f), up = random_floats(n, 6);
      std::copy(start.begin(), start.end(), gate.data());
      table->silu_mul(gate.data(), up.data(), static_cast<int64_t>(n));
      INFO(table->name << " n " << n);
      for (size_t i = 0; i < n; ++i) {
        const double truth = reference::silu(start[i]) * up[i];
        CHECK(std::abs(gate[i] - truth) <= 4 * kRelative * std::abs(truth));
      }
      CHECK(gate.front_untouched());
    }
    std::vector<float> far = {-1000.0f, -100.0f, -88.0f, 0.0f, 88.0f, 100.0f, 1000.0f, 3e38f};
    const std::vector<float> ones(far.size(), 1.0f);
    const auto start = far;
    table->silu_mul(far.data(), ones.data(), static_cast<int64_t>(far.size()));
    for (size_t i = 0; i < far.size(); ++i) {
      INFO(table->name << " x " << start[i]);
      CHECK(std::isfinite(far[i]));
      CHECK(std::abs(far[i] - reference::silu(start[i])) <= 4 * kRelative * std::abs(start[i]));
    }
  }
}

TEST_CASE("add and add_scaled") {
  for (const KernelTable* table : runnable_tables()) {
    for (size_t n : {size_t{0}, size_t{1}, size_t{9}, size_t{896}}) {
      const auto a = random_floats(n, 7), b = random_floats(n, 8);
      GuardedBuffer<float> x(n), z(n);
      std::copy(a.begin(), a.end(), x.data());
      std::copy(a.begin(), a.end(), z.data());
      table->add(x.data(), b.data(), static_cast<int64_t>(n));
      table->add_scaled(z.data(), b.data(), 0.25f, static_cast<int64_t>(n));
      for (size_t i = 0; i < n; ++i) {
        CHECK(x[i] == a[i] + b[i]);
        CHECK(std::abs(z[i] - (a[i] + 0.25 * b[i])) <= kRelative * (std::abs(a[i]) + std::abs(b[i])));
      }
    }
  }
}

TEST_CASE("to_half rounds to nearest even in every bundle") {
  const std::vector<float> special = {0.0f,  -0.0f,     1.0f,    65504.0f,   65519.9f,  65520.0f, 1e6f,
                                      -1e6f, 1e-8f,     5.9e-8f, 6.1e-5f,    2049.0f,   2051.0f,  INFINITY,
                                      0.1f,  -3.14159f, 1.0005f, 1.0004883f, 0x1.004p0f};
  for (const KernelTable* table : runnable_tables()) {
    auto x = random_floats(1003, 9, 100.0f);
    x.insert(x.end(), special.begin(), special.end());
    GuardedBuffer<uint16_t> out(x.size());
    table->to_half(x.data(), static_cast<int64_t>(x.size()), out.data());
    for (size_t i = 0; i < x.size(); ++i) {
      INFO(table->name << " " << x[i]);
      CHECK(out[i] == float_to_half(x[i]));
    }
  }
}

TEST_CASE("to_int8 rounds to the nearest of 255 steps, alike in every bundle") {
  for (const size_t n : {size_t{1}, size_t{7}, size_t{8}, size_t{64}, size_t{80}, size_t{131}}) {
    for (const float size : {1e-20f, 1.0f, 400.0f}) {
      const auto x = random_floats(n, 11, size);
      float largest = 0;
      for (const float value : x) largest = std::max(largest, std::abs(value));
      for (const KernelTable* table : runnable_tables()) {
        INFO(table->name << " n " << n << " size " << size);
        GuardedBuffer<int8_t> out(n);
        float scale = -1;
        table->to_int8(x.data(), static_cast<int64_t>(n), out.data(), &scale);
        CHECK(scale == largest / 127.0f);
        for (size_t i = 0; i < n; ++i) {
          CHECK(out[i] == static_cast<int8_t>(std::nearbyint(x[i] * (127.0f / largest))));
          CHECK(std::abs(double{scale} * out[i] - x[i]) <= 0.50001 * scale);
        }
        CHECK(out.front_untouched());
      }
    }
  }
}

TEST_CASE("to_int8 of nothing is nothing and a number that is not finite makes the scale NaN") {
  for (const KernelTable* table : runnable_tables()) {
    INFO(table->name);
    std::vector<float> x(20, 0.0f);
    std::vector<int8_t> out(20, 1);
    float scale = -1;
    table->to_int8(x.data(), 20, out.data(), &scale);
    CHECK(scale == 0);
    CHECK(out == std::vector<int8_t>(20, 0));
    x[3] = 1e-35f;
    table->to_int8(x.data(), 20, out.data(), &scale);
    CHECK(scale == 0);
    CHECK(out == std::vector<int8_t>(20, 0));
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
      for (const size_t at : {size_t{0}, size_t{5}, size_t{19}}) {
        x = random_floats(20, 12);
        x[at] = bad;
        table->to_int8(x.data(), 20, out.data(), &scale);
        CHECK(std::isnan(scale));
      }
    }
  }
}

TEST_CASE("softmax equals the reference and returns the log of the sum") {
  for (const KernelTable* table : runnable_tables()) {
    for (size_t n : {size_t{1}, size_t{2}, size_t{8}, size_t{13}, size_t{151936}}) {
      for (float size : {1.0f, 30.0f, 1000.0f}) {
        GuardedBuffer<float> x(n);
        const auto start = random_floats(n, 10, size);
        std::copy(start.begin(), start.end(), x.data());
        double truth_log = 0.0;
        const auto truth = reference::softmax(start.data(), static_cast<int64_t>(n), &truth_log);
        const float log_sum = table->softmax(x.data(), static_cast<int64_t>(n));
        INFO(table->name << " n " << n << " size " << size);
        CHECK(std::abs(log_sum - truth_log) <= 8 * kRelative * (std::abs(truth_log) + 1.0));
        double worst = 0.0, sum = 0.0;
        for (size_t i = 0; i < n; ++i) {
          // An exponent x - max carries half a unit in the last place of max, at most 5 * size.
          const double limit = truth[i] * (8 * kRelative + 5.0 * size * 0x1p-23) + 1e-37;
          worst = std::max(worst, std::abs(x[i] - truth[i]) / limit);
          sum += x[i];
        }
        CHECK(worst <= 1.0);
        CHECK(sum == Approx(1.0).epsilon(1e-5));
      }
    }
  }
}

}  // namespace
}  // namespace lectern
