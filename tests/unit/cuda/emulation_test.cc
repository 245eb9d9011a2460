// The stand-in for a GPU itself: its warp-wide instructions against plain loops, and what it finds.
#include <cuda_runtime.h>

#ifdef LECTERN_CUDA_EMULATION

#include <random>
#include <stdexcept>

#include "kernels/cuda/instructions.cuh"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"

using namespace lectern;
using namespace lectern::test;

namespace {

// c[16, 8] = a[16, 16] b[16, 8] by ldmatrix and mma: rows of a, rows of b transposed on the way.
void product_kernel(const uint16_t* a, const uint16_t* b, float* c) {
  const int lane = static_cast<int>(threadIdx.x);
  uint32_t of_a[4], of_b[4];
  // Matrices 0 and 1: rows 0..7 and 8..15 of the first 8 columns, 2 and 3 of the others.
  cuda::ldmatrix_x4(of_a, a + (lane % 16) * 16 + lane / 16 * 8);
  cuda::ldmatrix_x4_trans(of_b, b + (lane % 16) * 8);  // only two matrices are used
  float d[4] = {};
  const uint32_t pair[2] = {of_b[0], of_b[1]};
  cuda::mma_m16n8k16(d, of_a, pair);
  for (int i = 0; i < 4; ++i) c[(lane / 4 + 8 * (i / 2)) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

void uneven_kernel(int* out) {
  if (threadIdx.x < 40) __syncthreads();
  out[threadIdx.x] = 1;
}

void early_read_kernel(const float* in, float* out) {
  auto* shared = reinterpret_cast<float*>(cuda::dynamic_shared());
  if (threadIdx.x == 0) {
    cuda::cp_async_16(shared, in);
    cuda::cp_async_commit();
    out[0] = shared[0];  // not there yet
    cuda::cp_async_wait<0>();
    out[1] = shared[0];
  }
}

void neighbour_kernel(int* out, bool wait) {
  __shared__ int values[64];
  const auto i = threadIdx.x;
  values[i] = -1;
  __syncthreads();
  values[i] = static_cast<int>(i);
  if (wait) __syncthreads();
  out[i] = values[(i + 63) % 64];
}

}  // namespace

TEST_CASE("The emulated warp multiplies matrices by the layouts of PTX") {
  std::mt19937 random(1);
  std::vector<uint16_t> a(16 * 16), b(16 * 8);
  std::vector<float> a_values, b_values;
  for (auto* side : {&a, &b})
    for (uint16_t& value : *side) {
      const float x = static_cast<float>(random() % 17) - 8.0f;
      value = float_to_half(x);
      (side == &a ? a_values : b_values).push_back(x);
    }
  const DeviceBuffer<uint16_t> device_a(a), device_b(b);
  const DeviceBuffer<float> c(16 * 8);
  cuda::launch(product_kernel, 1, 32, 0, nullptr, device_a.data(), device_b.data(), c.data());
  const auto got = c.values();
  for (size_t y = 0; y < 16; ++y)
    for (size_t x = 0; x < 8; ++x) {
      float sum = 0;
      for (size_t k = 0; k < 16; ++k) sum += a_values[y * 16 + k] * b_values[k * 8 + x];
      CHECK(got[y * 8 + x] == sum);
    }
}

TEST_CASE("The emulated block finds uneven barriers and copies that nobody waited for") {
  const DeviceBuffer<int> out(64);
  CHECK_THROWS_AS(cuda::launch(uneven_kernel, 1, 64, 0, nullptr, out.data()), std::logic_error);
  const DeviceBuffer<float> in(std::vector<float>{7, 0, 0, 0}), read(2);
  cuda::launch(early_read_kernel, 1, 32, 16, nullptr, in.data(), read.data());
  CHECK(std::isnan(read.values()[0]));
  CHECK(read.values()[1] == 7);
}

TEST_CASE("A missing barrier shows in one of the two orders of threads") {
  const auto wrong = [](bool wait) {
    int n = 0;
    for (const bool reverse : {false, true}) {
      emulation::set_reverse_order(reverse);
      const DeviceBuffer<int> out(64);
      cuda::launch(neighbour_kernel, 1, 64, 0, nullptr, out.data(), wait);
      const auto got = out.values();
      for (int i = 0; i < 64; ++i) n += got[static_cast<size_t>(i)] != (i + 63) % 64;
    }
    emulation::set_reverse_order(false);
    return n;
  };
  CHECK(wrong(true) == 0);
  CHECK(wrong(false) > 0);
}

#endif
