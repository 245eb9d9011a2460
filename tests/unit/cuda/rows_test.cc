#include <random>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::vector<float> random_floats(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace

TEST_CASE("cuda rmsnorm equals the equations") {
  LECTERN_NEEDS_DEVICE();
  const int n = 3, h = GENERATE(8, 72, 896);
  const auto size = static_cast<size_t>(n) * static_cast<size_t>(h);
  const auto x = random_floats(size, 1), weight = random_floats(static_cast<size_t>(h), 2);
  const DeviceBuffer<float> device_x(x), device_weight(weight);
  const DeviceBuffer<__nv_bfloat16> out(size);
  cuda::rmsnorm(device_x.data(), device_weight.data(), n, h, 1e-6f, out.data(), nullptr);
  const auto got = out.values();
  for (int row = 0; row < n; ++row) {
    const auto at = static_cast<size_t>(row) * static_cast<size_t>(h);
    const auto expected = reference::rmsnorm(x.data() + at, weight.data(), h, 1e-6);
    for (size_t c = 0; c < expected.size(); ++c)
      CHECK(__bfloat162float(got[at + c]) == Approx(expected[c]).epsilon(0.005).margin(1e-5));
  }
}
