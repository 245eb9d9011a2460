// Matrices of model files: products with few tokens, and expanding to bfloat16, for the shapes of Qwen2.5.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/dequantize.h"
#include "tests/bench/cuda/bench.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/kernels/random_numbers.h"

namespace lectern::bench {
namespace {

using test::DeviceBuffer;

struct Shape {
  const char* name;
  int rows, cols;
};
constexpr Shape kShapes[] = {
    {"0.5b/attn_q", 896, 896},     {"0.5b/ffn_up", 4864, 896},    {"0.5b/ffn_down", 896, 4864},
    {"0.5b/output", 151936, 896},  {"1.5b/attn_q", 1536, 1536},   {"1.5b/ffn_up", 8960, 1536},
    {"1.5b/ffn_down", 1536, 8960}, {"1.5b/output", 151936, 1536}, {"7b/attn_q", 3584, 3584},
    {"7b/ffn_up", 18944, 3584},    {"7b/ffn_down", 3584, 18944},  {"7b/output", 152064, 3584},
};
constexpr Shape kEveryFormat = {"7b/ffn_up", 18944, 3584};
constexpr int kRandomRows = 64;  // repeated over the matrix

// Copies of a matrix on the device, for launches that must not find it in the cache.
class Weights {
 public:
  Weights(Bench& bench, DType dtype, const Shape& shape) : shape_(shape) {
    few_ = random_weights(dtype, kRandomRows, shape.cols, 1);
    values_.resize(static_cast<size_t>(kRandomRows) * static_cast<size_t>(shape.cols));
    dequantize(dtype, few_.data(), static_cast<int64_t>(values_.size()), values_.data());
    bytes_ = few_.size() / kRandomRows * static_cast<size_t>(shape.rows);
    stride_ = (bytes_ + 255) / 256 * 256;
    n_copies_ = bench.copies(static_cast<double>(bytes_));
    std::vector<uint8_t> all(stride_ * static_cast<size_t>(n_copies_));
    for (int copy = 0; copy < n_copies_; ++copy)
      for (size_t at = 0; at < bytes_; at += few_.size())
        std::copy_n(few_.begin(), std::min(few_.size(), bytes_ - at),
                    all.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(copy) * stride_ + at));
    device_ = std::make_unique<DeviceBuffer<uint8_t>>(all);
  }

  const uint8_t* copy(int i) const { return device_->data() + static_cast<size_t>(i % n_copies_) * stride_; }
  double bytes() const { return static_cast<double>(bytes_); }
  float value(int row, int col) const {
    return values_[static_cast<size_t>(row % kRandomRows) * static_cast<size_t>(shape_.cols) +
                   static_cast<size_t>(col)];
  }

 private:
  Shape shape_;
  std::vector<uint8_t> few_;
  std::vector<float> values_;
  size_t bytes_ = 0, stride_ = 0;
  int n_copies_ = 1;
  std::unique_ptr<DeviceBuffer<uint8_t>> device_;
};

std::string name_of(const char* kernel, DType dtype, const Shape& shape) {
  return std::string(kernel) + " " + shape.name + " " + info_of(dtype).name;
}

void few_tokens(Bench& bench, DType dtype, const Shape& shape, const Weights& weights, int n) {
  const std::string name = name_of("few_tokens", dtype, shape) + " n=" + std::to_string(n);
  if (!bench.wanted(name)) return;
  const auto cols = static_cast<size_t>(shape.cols), rows = static_cast<size_t>(shape.rows);
  const auto tokens = static_cast<size_t>(n);
  std::vector<__nv_bfloat16> x;
  for (const float value : random_floats(tokens * cols, 2)) x.push_back(__float2bfloat16_rn(value));
  const DeviceBuffer<__nv_bfloat16> device_x(x);
  const DeviceBuffer<float> y(tokens * rows);
  const auto launch = [&](int i) {
    cuda::matmul_few_tokens({.dtype = dtype,
                             .w = weights.copy(i),
                             .n_rows = shape.rows,
                             .cols = shape.cols,
                             .rows = nullptr,
                             .x = device_x.data(),
                             .n = n,
                             .y = y.data(),
                             .y_bf16 = nullptr,
                             .y_stride = shape.rows,
                             .accumulate = false},
                            bench.stream());
  };
  launch(0);
  test::must(cudaStreamSynchronize(bench.stream()));
  const auto got = y.values();
  for (size_t token = 0; token < tokens; ++token)
    for (int row = 0; row < kRandomRows; ++row) {
      double sum = 0, sizes = 0;
      for (size_t c = 0; c < cols; ++c) {
        const double product =
            double{weights.value(row, static_cast<int>(c))} * __bfloat162float(x[token * cols + c]);
        sum += product;
        sizes += std::abs(product);
      }
      // The first of such rows, and the last.
      const double allowed = (dtype == DType::kF32 || dtype == DType::kF16 ? 0x1p-9 : 1e-5) * sizes + 1e-6;
      const int last = shape.rows - 1 - (shape.rows - 1 - row) % kRandomRows;
      for (const int same : {row, last})
        bench.check(name, got[token * rows + static_cast<size_t>(same)], sum, allowed);
    }
  const double bytes = weights.bytes() + static_cast<double>(tokens) * (2.0 * shape.cols + 4.0 * shape.rows);
  bench.memory(name, bytes, launch);
}

void expand(Bench& bench, DType dtype, const Shape& shape, const Weights& weights) {
  const std::string name = name_of("expand", dtype, shape);
  if (!bench.wanted(name)) return;
  const size_t size = static_cast<size_t>(shape.rows) * static_cast<size_t>(shape.cols);
  const DeviceBuffer<__nv_bfloat16> out(size);
  const auto launch = [&](int i) {
    cuda::expand(dtype, weights.copy(i), static_cast<int64_t>(size), out.data(), bench.stream());
  };
  launch(0);
  test::must(cudaStreamSynchronize(bench.stream()));
  const auto got = out.values();
  for (size_t i = 0; i < size; i += 8191) {
    const auto row = static_cast<int>(i / static_cast<size_t>(shape.cols));
    const float expected = weights.value(row, static_cast<int>(i % static_cast<size_t>(shape.cols)));
    bench.check(name, __bfloat162float(got[i]), expected, 0.004 * std::abs(expected) + 1e-6);
  }
  bench.memory(name, weights.bytes() + 2.0 * static_cast<double>(size), launch);
}

bool fits(DType dtype, const Shape& shape) {
  return shape.cols % info_of(dtype).block_elements == 0;
}

bool any_wanted(const Bench& bench, DType dtype, const Shape& shape) {
  return bench.wanted(name_of("expand", dtype, shape)) ||
         bench.wanted(name_of("few_tokens", dtype, shape) + " n=1") ||
         bench.wanted(name_of("few_tokens", dtype, shape) + " n=8");
}

void bench_matrix(Bench& bench, DType dtype, const Shape& shape, bool with_expand) {
  if (!fits(dtype, shape) || !any_wanted(bench, dtype, shape)) return;
  const Weights weights(bench, dtype, shape);
  for (const int n : {1, cuda::kFewTokens}) few_tokens(bench, dtype, shape, weights, n);
  if (with_expand) expand(bench, dtype, shape, weights);
}

}  // namespace

void bench_matrices(Bench& bench) {
  for (const DType dtype : all_dtypes()) bench_matrix(bench, dtype, kEveryFormat, true);
  for (const DType dtype : {DType::kQ4_K, DType::kQ6_K, DType::kQ8_0, DType::kQ5_0, DType::kBF16})
    for (const Shape& shape : kShapes)
      if (std::string(shape.name) != kEveryFormat.name) bench_matrix(bench, dtype, shape, false);
}

}  // namespace lectern::bench
