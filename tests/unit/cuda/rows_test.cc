#include <limits>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/cuda/thread_order.h"
#include "tests/unit/kernels/random_numbers.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::vector<__nv_bfloat16> to_bf16(const std::vector<float>& values) {
  std::vector<__nv_bfloat16> result;
  for (const float value : values) result.push_back(__float2bfloat16_rn(value));
  return result;
}

}  // namespace

TEST_CASE("cuda rmsnorm equals the equations") {
  LECTERN_NEEDS_DEVICE();
  const int n = 3, h = GENERATE(8, 72, 896, 1544);
  const auto size = static_cast<size_t>(n) * static_cast<size_t>(h);
  const auto x = random_floats(size, 1), weight = random_floats(static_cast<size_t>(h), 2);
  const DeviceBuffer<float> device_x(x), device_weight(weight);
  in_both_orders([&] {
    const DeviceBuffer<__nv_bfloat16> out(size);
    cuda::rmsnorm(device_x.data(), device_weight.data(), n, h, 1e-6f, out.data(), nullptr);
    const auto got = out.values();
    for (int row = 0; row < n; ++row) {
      const auto at = static_cast<size_t>(row) * static_cast<size_t>(h);
      const auto expected = reference::rmsnorm(x.data() + at, weight.data(), h, 1e-6f);
      for (size_t c = 0; c < expected.size(); ++c)
        CHECK(__bfloat162float(got[at + c]) == Approx(expected[c]).epsilon(0.005).margin(1e-5));
    }
  });
}

TEST_CASE("cuda silu_mul equals the equations for any number of elements") {
  LECTERN_NEEDS_DEVICE();
  const size_t n = GENERATE(1u, 7u, 8u, 2056u, 4099u);
  auto gate = to_bf16(random_floats(n, 3, 4.0f));
  gate[0] = __float2bfloat16_rn(-500.0f);  // exp(500) is infinite in float
  const auto up = to_bf16(random_floats(n, 4));
  const DeviceBuffer<__nv_bfloat16> device_gate(gate), device_up(up);
  cuda::silu_mul(device_gate.data(), device_up.data(), static_cast<int64_t>(n), nullptr);
  const auto got = device_gate.values();
  for (size_t i = 0; i < n; ++i) {
    const double expected = reference::silu(__bfloat162float(gate[i])) * __bfloat162float(up[i]);
    CHECK(__bfloat162float(got[i]) == Approx(expected).epsilon(0.005).margin(1e-30));
  }
}

TEST_CASE("cuda gather_rows copies rows of any multiple of four bytes") {
  LECTERN_NEEDS_DEVICE();
  const size_t row_bytes = GENERATE(4u, 12u, 16u, 5120u, 5124u);
  const std::vector<int32_t> rows = {4, 0, 0, 3};
  const auto x = random_weights(DType::kQ8_0, 5, static_cast<int32_t>(row_bytes) * 32, 5);  // any bytes
  const DeviceBuffer<uint8_t> device_x(x), out(rows.size() * row_bytes);
  const DeviceBuffer<int32_t> device_rows(rows);
  cuda::gather_rows(device_x.data(), device_rows.data(), static_cast<int>(rows.size()),
                    static_cast<int64_t>(row_bytes), out.data(), nullptr);
  const auto got = out.values();
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t c = 0; c < row_bytes; ++c)
      REQUIRE(got[i * row_bytes + c] == x[static_cast<size_t>(rows[i]) * row_bytes + c]);
}

TEST_CASE("cuda check_finite finds the one number that is none") {
  LECTERN_NEEDS_DEVICE();
  auto x = random_floats(3001, 6);
  const size_t at = GENERATE(0u, 255u, 3000u);
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity());
  const auto flag_of = [&](int32_t before) {
    const DeviceBuffer<float> device_x(x);
    const DeviceBuffer<int32_t> flag(std::vector<int32_t>{before});
    cuda::check_finite(device_x.data(), static_cast<int64_t>(x.size()), flag.data(), nullptr);
    return flag.values()[0];
  };
  CHECK(flag_of(0) == 0);
  CHECK(flag_of(4) == 4);
  x[at] = std::numeric_limits<float>::max();
  CHECK(flag_of(0) == 0);
  x[at] = bad;
  CHECK(flag_of(0) == 1);
  CHECK(flag_of(4) == 5);
}
