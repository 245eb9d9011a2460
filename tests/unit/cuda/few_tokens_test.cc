#include <cmath>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/dequantize.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/cuda/thread_order.h"
#include "tests/unit/kernels/random_numbers.h"

using namespace lectern;
using namespace lectern::test;

namespace {

struct Case {
  DType dtype;
  int matrix_rows, cols, n;
  std::vector<int32_t> rows = {};  // empty: all
  bool to_bf16 = false, accumulate = false;
};

size_t size(int n) {
  return static_cast<size_t>(n);
}

void check(const Case& c) {
  CAPTURE(info_of(c.dtype).name, c.matrix_rows, c.cols, c.n, c.rows.size());
  const auto w = random_weights(c.dtype, c.matrix_rows, c.cols, 31);
  std::vector<float> weights(size(c.matrix_rows) * size(c.cols));
  dequantize(c.dtype, w.data(), static_cast<int64_t>(weights.size()), weights.data());
  std::vector<__nv_bfloat16> x;
  for (const float value : random_floats(size(c.n) * size(c.cols), 32))
    x.push_back(__float2bfloat16_rn(value));

  const int n_rows = c.rows.empty() ? c.matrix_rows : static_cast<int>(c.rows.size());
  const size_t stride = size(n_rows) + 3;  // what lies between rows is not touched
  const std::vector<float> before = random_floats(size(c.n) * stride, 33);
  std::vector<__nv_bfloat16> before_bf16;
  for (const float value : before) before_bf16.push_back(__float2bfloat16_rn(value));
  const DeviceBuffer<uint8_t> device_w(w);
  const DeviceBuffer<__nv_bfloat16> device_x(x);
  const DeviceBuffer<int32_t> rows(c.rows.empty() ? std::vector<int32_t>{-1} : c.rows);
  in_both_orders([&] {
    const DeviceBuffer<float> y(before);
    const DeviceBuffer<__nv_bfloat16> y_bf16(before_bf16);
    cuda::matmul_few_tokens({.dtype = c.dtype,
                             .w = device_w.data(),
                             .n_rows = n_rows,
                             .cols = c.cols,
                             .rows = c.rows.empty() ? nullptr : rows.data(),
                             .x = device_x.data(),
                             .n = c.n,
                             .y = c.to_bf16 ? nullptr : y.data(),
                             .y_bf16 = c.to_bf16 ? y_bf16.data() : nullptr,
                             .y_stride = static_cast<int64_t>(stride),
                             .accumulate = c.accumulate},
                            nullptr);
    const auto got = y.values();
    const auto got_bf16 = y_bf16.values();
    for (size_t at = 0; at < got.size(); ++at) {
      const size_t token = at / stride, i = at % stride;
      if (i >= size(n_rows)) {
        REQUIRE(got[at] == before[at]);
        REQUIRE(__bfloat162float(got_bf16[at]) == __bfloat162float(before_bf16[at]));
        continue;
      }
      const size_t row = c.rows.empty() ? i : size(c.rows[i]);
      double sum = 0, sizes = 0;
      for (size_t k = 0; k < size(c.cols); ++k) {
        const double product = static_cast<double>(weights[row * size(c.cols) + k]) *
                               __bfloat162float(x[token * size(c.cols) + k]);
        sum += product;
        sizes += std::abs(product);
      }
      if (c.accumulate) sum += before[at];
      // Sums are of floats; F32 and F16 weights are rounded to bfloat16, and so is that output.
      const bool rounded = c.dtype == DType::kF32 || c.dtype == DType::kF16;
      const double allowed =
          (rounded ? 0x1p-9 : 1e-5) * sizes + (c.to_bf16 ? 0.004 * std::abs(sum) : 0.0) + 1e-6;
      const double result = c.to_bf16 ? __bfloat162float(got_bf16[at]) : got[at];
      REQUIRE(std::abs(result - sum) <= allowed);
    }
  });
}

}  // namespace

TEST_CASE("cuda matmul_few_tokens equals the sums in every format") {
  LECTERN_NEEDS_DEVICE();
  for (const DType dtype : all_dtypes()) {
    const int block = info_of(dtype).block_elements;
    check({dtype, 17, block == 256 ? 512 : 288,
           3});                                    // a row more than a block takes; chunks that are not whole
    check({dtype, 5, block == 1 ? 8 : block, 8});  // the smallest
  }
}

TEST_CASE("cuda matmul_few_tokens takes columns in any number of rounds") {
  LECTERN_NEEDS_DEVICE();
  for (const DType dtype : {DType::kBF16, DType::kF32, DType::kQ8_0, DType::kQ4_K, DType::kQ6_K}) {
    // Eight warps take a chunk each, some two, and all three or four.
    for (const int chunks : {8, 9, 25, 32}) check({dtype, 3, 256 * chunks, 1});
  }
  check({DType::kF16, 18, 1000, 2});
  check({DType::kF32, 18, 1000, 2});
}

TEST_CASE("cuda matmul_few_tokens takes more tokens in parts and adds to what is there") {
  LECTERN_NEEDS_DEVICE();
  for (const int n : {1, 7, 8, 9, 19}) {
    check({DType::kQ5_0, 33, 96, n, {}, false, true});
    check({DType::kQ4_K, 33, 256, n, {}, true, false});
  }
}

TEST_CASE("cuda matmul_few_tokens takes only the rows of a list") {
  LECTERN_NEEDS_DEVICE();
  for (const DType dtype : {DType::kQ8_0, DType::kQ6_K, DType::kBF16})
    for (const bool to_bf16 : {false, true}) {
      check({dtype, 40, 256, 2, {39, 0, 7, 7, 12, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 13, 38}, to_bf16});
      check({dtype, 40, 256, 1, {39}, to_bf16});
    }
}
