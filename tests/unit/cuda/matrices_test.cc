#include <cmath>
#include <limits>

#include "kernels/cuda/block_formats.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/dequantize.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/cuda/thread_order.h"
#include "tests/unit/kernels/random_numbers.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::vector<float> dequantized(DType dtype, const std::vector<uint8_t>& w, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  dequantize(dtype, w.data(), n, values.data());
  return values;
}

float e4m3_to_float(uint8_t byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                   : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (byte & 0x80) != 0 ? -size : size;
}

}  // namespace

TEST_CASE("cuda decoding of blocks equals dequantize in every format") {
  for (const DType dtype : all_dtypes()) {
    CAPTURE(info_of(dtype).name);
    constexpr int kRows = 6, kCols = 512;
    const auto w = random_weights(dtype, kRows, kCols, 11);
    const auto expected = dequantized(dtype, w, kRows * kCols);
    cuda::with_dtype(dtype, [&]<DType kType>() {
      for (int64_t i = 0; i < kRows * kCols / 8; ++i) {
        float got[8];
        cuda::decode8<kType>(w.data(), i, got);
        for (int64_t k = 0; k < 8; ++k) REQUIRE(got[k] == expected[static_cast<size_t>(8 * i + k)]);
      }
    });
  }
}

TEST_CASE("cuda embed takes the rows of the tokens") {
  LECTERN_NEEDS_DEVICE();
  for (const DType dtype : all_dtypes()) {
    CAPTURE(info_of(dtype).name);
    constexpr int kVocabulary = 7;
    const int cols = info_of(dtype).block_elements == 256 ? 768 : 96;
    const auto table = random_weights(dtype, kVocabulary, cols, 12);
    const auto expected = dequantized(dtype, table, int64_t{kVocabulary} * cols);
    const std::vector<int32_t> tokens = {6, 0, 3, 3};
    const DeviceBuffer<uint8_t> device_table(table);
    const DeviceBuffer<int32_t> device_tokens(tokens);
    const DeviceBuffer<float> out(tokens.size() * static_cast<size_t>(cols));
    cuda::embed(dtype, device_table.data(), cols, device_tokens.data(), static_cast<int>(tokens.size()),
                out.data(), nullptr);
    const auto got = out.values();
    for (size_t i = 0; i < got.size(); ++i) {
      const size_t c = i % static_cast<size_t>(cols);
      const auto row = static_cast<size_t>(tokens[i / static_cast<size_t>(cols)]);
      // On the device products and sums are fused, and rounded once.
      CHECK(got[i] == Approx(expected[row * static_cast<size_t>(cols) + c]).epsilon(1e-5).margin(1e-6));
    }
  }
}

TEST_CASE("cuda expand rounds every element to bfloat16") {
  LECTERN_NEEDS_DEVICE();
  for (const DType dtype : all_dtypes()) {
    CAPTURE(info_of(dtype).name);
    constexpr int kElements = 256 * 19;
    const auto w = random_weights(dtype, 1, kElements, 13);
    const auto expected = dequantized(dtype, w, kElements);
    const DeviceBuffer<uint8_t> device_w(w);
    const DeviceBuffer<__nv_bfloat16> out(kElements);
    cuda::expand(dtype, device_w.data(), kElements, out.data(), nullptr);
    const auto got = out.values();
    for (size_t i = 0; i < got.size(); ++i)
      CHECK(__bfloat162float(got[i]) == Approx(expected[i]).epsilon(0.004).margin(1e-6));
  }
}

TEST_CASE("cuda quantize_e4m3 keeps each row to a sixteenth") {
  LECTERN_NEEDS_DEVICE();
  constexpr int kRows = 4, kCols = 2056;
  auto floats = random_floats(kRows * kCols, 14, 3.0f);
  for (size_t i = 0; i < kCols; ++i) floats[kCols + i] = 0.0f;             // a row of nothing
  floats[2 * kCols + 5] = 70000.0f;                                        // beyond half precision
  floats[3 * kCols + kCols - 1] = std::numeric_limits<float>::infinity();  // lost numbers show
  std::vector<__nv_bfloat16> x;
  for (const float value : floats) x.push_back(__float2bfloat16_rn(value));
  const DeviceBuffer<__nv_bfloat16> device_x(x);
  in_both_orders([&] {
    const DeviceBuffer<uint8_t> out(kRows * kCols);
    const DeviceBuffer<float> scales(kRows);
    cuda::quantize_e4m3(device_x.data(), kRows, kCols, out.data(), scales.data(), nullptr);
    const auto bytes = out.values();
    const auto scale_of = scales.values();
    CHECK(std::isnan(scale_of[3]));
    for (size_t i = 0; i < 3 * kCols; ++i) {
      const float scale = scale_of[i / kCols], value = __bfloat162float(x[i]);
      // Half a step of three bits; below the normal numbers, of 2^-9.
      CHECK(std::abs(scale * e4m3_to_float(bytes[i]) - value) <=
            std::max(std::abs(value) / 16.0f, scale * 0x1p-10f) * 1.001f);
    }
    for (size_t row : {0u, 2u}) {
      float largest = 0;
      for (size_t c = 0; c < kCols; ++c)
        largest = std::max(largest, e4m3_to_float(bytes[row * kCols + c] & 0x7f));
      CHECK(largest == 448.0f);
    }
  });
}
