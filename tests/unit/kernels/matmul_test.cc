#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/reference/dequantize.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/kernels/kernel_fixtures.h"

namespace lectern {
namespace {

constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of float

std::string describe(const KernelTable& table, DType dtype, int32_t rows, int32_t cols, int32_t n_tokens) {
  return std::string(table.name) + " " + info_of(dtype).name + " rows " + std::to_string(rows) + " cols " +
         std::to_string(cols) + " tokens " + std::to_string(n_tokens);
}

struct Bounds {
  double rounding;  // of float sums, whatever their order in blocks
  double quantum;   // of activations rounded to 8 bits
};

// How far a bundle's result for one (row, token) may lie from the exact one.
// rounding: a sum of n floats in 8 partial sums or in blocks of 32 makes at most n/8 + 64 roundings of terms
// whose magnitudes add up to at most sum |x| * 4 max|w|: a format with minimum takes w apart into d*q - m,
// each at most twice the block's largest |w|... quantum: a token's 256 neighbours share a scale of at most
// amax/127, so every activation moves by half of that.
Bounds bounds(const float* w, const float* x, int32_t cols, int32_t block) {
  double magnitude = 0.0, quantum = 0.0;
  for (int32_t begin = 0; begin < cols; begin += block) {
    const int32_t end = std::min(begin + block, cols);
    double w_max = 0.0, w_sum = 0.0, x_max = 0.0, x_sum = 0.0;
    for (int32_t c = begin; c < end; ++c) {
      w_max = std::max(w_max, std::abs(static_cast<double>(w[c])));
      x_max = std::max(x_max, std::abs(static_cast<double>(x[c])));
      w_sum += std::abs(static_cast<double>(w[c]));
      x_sum += std::abs(static_cast<double>(x[c]));
    }
    magnitude += 4.0 * w_max * x_sum;
    quantum += w_sum * x_max / 254.0;
  }
  return {(cols / 8.0 + 64.0) * kEpsilon * magnitude, 1.001 * quantum};
}

// The largest error of a bundle over its bound; 1 is the limit.
double worst(const KernelTable& table, DType dtype, int32_t rows, int32_t cols, int32_t n_tokens, bool exact,
             bool with_bias) {
  INFO(describe(table, dtype, rows, cols, n_tokens));
  const auto src = random_weights(dtype, rows, cols, 1);
  const auto x = exact ? exact_activations(n_tokens, cols, 2)
                       : random_floats(static_cast<size_t>(n_tokens) * static_cast<size_t>(cols), 3);
  const auto bias = random_floats(static_cast<size_t>(rows), 4);
  const float* b = with_bias ? bias.data() : nullptr;
  const PackedWeights w(table, dtype, src, rows, cols);
  const auto y = run_matmul(table, w.matrix(), x, n_tokens, b);
  const auto truth = reference::matmul(dtype, src.data(), rows, cols, x.data(), n_tokens, b);
  std::vector<float> weights(static_cast<size_t>(rows) * static_cast<size_t>(cols));
  dequantize(dtype, src.data(), static_cast<int64_t>(weights.size()), weights.data());
  double ratio = 0.0;
  for (int32_t t = 0; t < n_tokens; ++t) {
    for (int32_t r = 0; r < rows; ++r) {
      const Bounds bound =
          bounds(weights.data() + static_cast<int64_t>(r) * cols, x.data() + static_cast<int64_t>(t) * cols,
                 cols, info_of(dtype).block_elements == 256 ? 256 : 32);
      const auto at = static_cast<size_t>(t) * static_cast<size_t>(rows) + static_cast<size_t>(r);
      const double limit = bound.rounding + (exact ? 0.0 : bound.quantum) + 4 * kEpsilon;
      const double error = std::abs(static_cast<double>(y[at]) - truth[at]);
      if (!(error <= limit)) ratio = std::max(ratio, std::isfinite(y[at]) ? error / limit : 1e30);
      ratio = std::max(ratio, error / limit);
    }
  }
  return ratio;
}

TEST_CASE("matmul equals the reference where activations are exact in 8 bits") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      const int32_t block = std::max(info_of(dtype).block_elements, 32);
      for (int32_t n_blocks : {1, 2, 3, 7}) {
        for (int32_t n_tokens : {1, 2, 3, 4, 5, 17}) {
          for (int32_t rows : {1, 8, 11}) {
            INFO(describe(*table, dtype, rows, n_blocks * block, n_tokens));
            CHECK(worst(*table, dtype, rows, n_blocks * block, n_tokens, true, n_blocks % 2 == 0) <= 1.0);
          }
        }
      }
    }
  }
}

TEST_CASE("matmul of any activations stays within the 8-bit rounding of the reference") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      for (int32_t n_tokens : {1, 7, 33}) {
        INFO(describe(*table, dtype, 19, 768, n_tokens));
        CHECK(worst(*table, dtype, 19, 768, n_tokens, false, true) <= 1.0);
      }
    }
  }
}

TEST_CASE("matmul takes a float matrix with any number of columns") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (int32_t cols : {1, 3, 8, 31, 257}) {
        INFO(describe(*table, dtype, 9, cols, 3));
        CHECK(worst(*table, dtype, 9, cols, 3, false, true) <= 1.0);
      }
    }
  }
}

TEST_CASE("extreme quants and activations do not overflow the integer sums") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      if (info_of(dtype).block_elements == 1) continue;
      for (int pattern : {0x00, 0xff, 0x80, 0x7f}) {
        const int32_t rows = 8, cols = 512, n_tokens = 5;
        const auto src = extreme_weights(dtype, rows, cols, static_cast<uint8_t>(pattern), 5);
        std::vector<float> x(static_cast<size_t>(n_tokens * cols));
        for (size_t i = 0; i < x.size(); ++i) x[i] = i / cols % 2 == 0 ? 1.0f : -1.0f;
        const PackedWeights w(*table, dtype, src, rows, cols);
        const auto y = run_matmul(*table, w.matrix(), x, n_tokens, nullptr);
        const auto truth = reference::matmul(dtype, src.data(), rows, cols, x.data(), n_tokens, nullptr);
        std::vector<float> weights(static_cast<size_t>(rows * cols));
        dequantize(dtype, src.data(), rows * cols, weights.data());
        INFO(describe(*table, dtype, rows, cols, n_tokens) << " pattern " << pattern);
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t t = i / rows, r = i % rows;
          const auto bound = bounds(weights.data() + r * cols, x.data() + t * cols, cols, 256);
          CHECK(std::abs(static_cast<double>(y[i]) - truth[i]) <= bound.rounding + 4 * kEpsilon);
        }
      }
    }
  }
}

TEST_CASE("a token's result does not depend on its batch, nor a row's on how rows are shared out") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      const int32_t rows = 37, cols = 512, n_tokens = 21;
      INFO(describe(*table, dtype, rows, cols, n_tokens));
      const auto src = random_weights(dtype, rows, cols, 6);
      const auto x = random_floats(static_cast<size_t>(n_tokens * cols), 7);
      const PackedWeights w(*table, dtype, src, rows, cols);
      const auto all = run_matmul(*table, w.matrix(), x, n_tokens, nullptr);
      for (int32_t n : {1, 2, 3, 4, 5, 16, 20}) {
        const auto some = run_matmul(*table, w.matrix(), x, n, nullptr);
        CHECK(std::equal(some.begin(), some.end(), all.begin()));
      }
      std::vector<uint8_t> quantized(table->activation_bytes(dtype, n_tokens, cols) + 64);
      auto* q = quantized.data() + (64 - reinterpret_cast<uintptr_t>(quantized.data()) % 64) % 64;
      for (int32_t t = 0; t < n_tokens; t += 5) {  // quantised in pieces, as threads do
        table->quantize(dtype, x.data(), cols, n_tokens, cols, t, std::min(t + 5, n_tokens), q);
      }
      std::vector<float> pieces(all.size(), NAN);
      for (int32_t r = 0; r < rows; r += 16) {
        table->matmul(
            {&w.matrix(), q, n_tokens, r, std::min(r + 16, rows), nullptr, pieces.data(), rows, false});
      }
      CHECK(pieces == all);
    }
  }
}

TEST_CASE("matmul accumulates onto the residual stream and leaves other rows and padding alone") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      const int32_t rows = 21, cols = 256, n_tokens = 6, stride = 40;
      INFO(describe(*table, dtype, rows, cols, n_tokens));
      const auto src = random_weights(dtype, rows, cols, 8);
      const auto x = random_floats(static_cast<size_t>(n_tokens * cols), 9);
      const PackedWeights w(*table, dtype, src, rows, cols);
      const auto plain = run_matmul(*table, w.matrix(), x, n_tokens, nullptr);
      GuardedBuffer<uint8_t> q(table->activation_bytes(dtype, n_tokens, cols), 64);
      table->quantize(dtype, x.data(), cols, n_tokens, cols, 0, n_tokens, q.data());
      std::vector<float> y(static_cast<size_t>(n_tokens * stride), 3.0f);
      table->matmul({&w.matrix(), q.data(), n_tokens, 8, rows, nullptr, y.data(), stride, true});
      for (int32_t t = 0; t < n_tokens; ++t) {
        for (int32_t r = 0; r < stride; ++r) {
          const float got = y[static_cast<size_t>(t * stride + r)];
          if (r < 8 || r >= rows) {
            CHECK(got == 3.0f);
          } else {
            const float want = 3.0f + plain[static_cast<size_t>(t * rows + r)];
            CHECK(got == Approx(want).epsilon(1e-4).margin(1e-4));
          }
        }
      }
    }
  }
}

TEST_CASE("packing in pieces equals packing whole, and no tokens are no work") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      const int32_t rows = 30, cols = 512;
      INFO(describe(*table, dtype, rows, cols, 0));
      const auto src = random_weights(dtype, rows, cols, 10);
      const PackedWeights whole(*table, dtype, src, rows, cols);
      GuardedBuffer<uint8_t> pieces(whole.bytes().size(), 64);
      for (int32_t tile : {3, 1, 0, 2}) {
        table->pack(dtype, src.data(), rows, cols, tile, tile + 1, pieces.data());
      }
      CHECK(std::equal(whole.bytes().begin(), whole.bytes().end(), pieces.data()));
      CHECK(whole.bytes().size() % 64 == 0);
      table->matmul({&whole.matrix(), nullptr, 0, 0, rows, nullptr, nullptr, rows, false});
      CHECK(table->activation_bytes(dtype, 0, cols) % 64 == 0);
    }
  }
}

TEST_CASE("formats with the same activation key read the same activations") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType a : all_dtypes()) {
      for (DType b : all_dtypes()) {
        if (table->activation_format(a) != table->activation_format(b)) continue;
        INFO(table->name << " " << info_of(a).name << " " << info_of(b).name);
        const int32_t cols = 512, n_tokens = 3;
        REQUIRE(table->activation_bytes(a, n_tokens, cols) == table->activation_bytes(b, n_tokens, cols));
        const auto x = random_floats(static_cast<size_t>(n_tokens * cols), 11);
        GuardedBuffer<uint8_t> qa(table->activation_bytes(a, n_tokens, cols), 64);
        GuardedBuffer<uint8_t> qb(qa.size(), 64);
        table->quantize(a, x.data(), cols, n_tokens, cols, 0, n_tokens, qa.data());
        table->quantize(b, x.data(), cols, n_tokens, cols, 0, n_tokens, qb.data());
        CHECK(std::equal(qa.data(), qa.data() + qa.size(), qb.data()));
      }
    }
  }
}

TEST_CASE("all-zero activations give the bias exactly") {
  for (const KernelTable* table : runnable_tables()) {
    for (DType dtype : all_dtypes()) {
      const int32_t rows = 16, cols = 256;
      const PackedWeights w(*table, dtype, random_weights(dtype, rows, cols, 12), rows, cols);
      const auto bias = random_floats(rows, 13);
      const auto y = run_matmul(*table, w.matrix(), std::vector<float>(3 * cols), 3, bias.data());
      INFO(describe(*table, dtype, rows, cols, 3));
      for (size_t i = 0; i < y.size(); ++i) CHECK(y[i] == bias[i % rows]);
    }
  }
}

}  // namespace
}  // namespace lectern
