// The AMX kernels on an emulated tile unit beside the AVX2 bundle: all of them but the tile instructions
// themselves runs here, on any processor with AVX-512 VNNI.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/bundles.h"
#include "tests/support/catch.h"
#include "tests/unit/kernels/amx_emulation.h"
#include "tests/unit/kernels/kernel_fixtures.h"
#include "tests/unit/kernels/random_product.h"

namespace lectern {
namespace {

using emulated_amx::take_violation;

// The AVX2 bundle with the AMX kernels in the place of its quantised matmuls, however few the tokens.
void matmul(const MatmulArgs& args) {
  switch (info_of(args.w->dtype).block_elements) {
    case 1:
      return kAvx2Kernels.matmul(args);
    case 32:
      return emulated_amx::matmul_blocks(args);
    default:
      return args.w->dtype == DType::kIQ4_XS ? emulated_amx::matmul_blocks(args)
                                             : emulated_amx::matmul_super_blocks(args);
  }
}

bool can_emulate() {
  return can_run(kAvx512VnniKernels);
}

TEST_CASE("the AMX kernels give the AVX2 bundle's products bit for bit, on an emulated tile unit") {
  if (!can_emulate()) LECTERN_SKIP("this processor cannot run the avx512vnni bundle");
  KernelTable emulated = kAvx2Kernels;
  emulated.matmul = matmul;
  take_violation();
  const uint64_t before = emulated_amx::n_products();
  for (uint32_t seed = 0; seed < 600; ++seed) {
    const RandomProduct product(seed + 1000);
    INFO(product.describe());
    CHECK(product.run(kAvx2Kernels) == product.run(emulated));
    const char* violation = take_violation();
    CHECK(std::string(violation == nullptr ? "" : violation).empty());
  }
  CHECK(emulated_amx::n_products() > before + 10000);
}

TEST_CASE("AMX: every number of tokens, and rows in one tile, an odd number of tiles, and many") {
  if (!can_emulate()) LECTERN_SKIP("this processor cannot run the avx512vnni bundle");
  KernelTable emulated = kAvx2Kernels;
  emulated.matmul = matmul;
  take_violation();
  for (DType dtype : all_dtypes()) {
    if (info_of(dtype).block_elements == 1) continue;
    for (int32_t rows : {3, 24, 40}) {
      RandomProduct product(7);
      product.dtype = dtype;
      product.rows = product.row_end = rows;
      product.row_begin = 0;
      product.cols = 512;
      for (int32_t n_tokens = 1; n_tokens <= 140; n_tokens += n_tokens < 36 ? 1 : 13) {
        product.n_tokens = n_tokens;
        INFO(product.describe());
        CHECK(product.run(kAvx2Kernels) == product.run(emulated));
      }
    }
  }
  CHECK(take_violation() == nullptr);
}

// Quants, scales and activations at their extremes, where digits of scales and products are largest.
TEST_CASE("AMX: extreme weights and activations") {
  if (!can_emulate()) LECTERN_SKIP("this processor cannot run the avx512vnni bundle");
  KernelTable emulated = kAvx2Kernels;
  emulated.matmul = matmul;
  const int32_t rows = 32, cols = 512, n_tokens = 20;
  for (DType dtype : all_dtypes()) {
    const DTypeInfo& info = info_of(dtype);
    if (info.block_elements == 1) continue;
    for (int pattern = 0; pattern < 8; ++pattern) {
      constexpr uint8_t kBytes[4] = {0x00, 0xff, 0x80, 0x7f};
      const auto src = extreme_weights(dtype, rows, cols, kBytes[pattern / 2], 3);
      std::vector<float> x(static_cast<size_t>(n_tokens * cols));
      for (size_t i = 0; i < x.size(); ++i) x[i] = pattern % 2 == 0 || i / 16 % 2 == 0 ? 127.0f : -127.0f;
      INFO(info.name << " pattern " << pattern);
      const PackedWeights w(kAvx2Kernels, dtype, src, rows, cols);
      CHECK(run_matmul(kAvx2Kernels, w.matrix(), x, n_tokens, nullptr) ==
            run_matmul(emulated, w.matrix(), x, n_tokens, nullptr));
    }
  }
}

TEST_CASE("the emulated tile unit multiplies bytes of either sign, in any shape") {
  if (!can_emulate()) LECTERN_SKIP("this processor cannot run the avx512vnni bundle");
  std::mt19937 random(5);
  take_violation();
  for (int n = 0; n < 50; ++n) {
    const int rows = 1 + static_cast<int>(random() % 16), columns = 1 + static_cast<int>(random() % 16);
    const int depth = 2 + static_cast<int>(random() % 15);
    std::vector<int8_t> a(static_cast<size_t>(rows * 4 * depth));
    std::vector<uint8_t> b(static_cast<size_t>(depth * 4 * columns));
    for (int8_t& byte : a) byte = static_cast<int8_t>(random());
    for (uint8_t& byte : b) byte = static_cast<uint8_t>(random());
    for (bool is_signed : {false, true}) {
      std::vector<int32_t> c(static_cast<size_t>(rows * columns)), want(c.size());
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) {
          for (int k = 0; k < 4 * depth; ++k) {
            const uint8_t weight = b[static_cast<size_t>(k / 4 * 4 * columns + 4 * j + k % 4)];
            want[static_cast<size_t>(i * columns + j)] +=
                a[static_cast<size_t>(i * 4 * depth + k)] *
                (is_signed ? static_cast<int>(static_cast<int8_t>(weight)) : static_cast<int>(weight));
          }
        }
      }
      emulated_amx::product(rows, columns, depth, is_signed, false, a.data(), b.data(), c.data());
      CHECK(c == want);
      CHECK(take_violation() == nullptr);
      emulated_amx::product(rows, columns, depth, is_signed, true, a.data(), b.data(), c.data());
      CHECK(take_violation() != nullptr);
    }
  }
  // More rows, and longer rows, than palette 1 has.
  std::vector<int8_t> a(17 * 17 * 4);
  std::vector<uint8_t> b(17 * 17 * 4);
  std::vector<int32_t> c(17 * 17);
  emulated_amx::product(17, 16, 16, true, false, a.data(), b.data(), c.data());
  CHECK(take_violation() != nullptr);
  emulated_amx::product(16, 17, 16, true, false, a.data(), b.data(), c.data());
  CHECK(take_violation() != nullptr);
}

}  // namespace
}  // namespace lectern
