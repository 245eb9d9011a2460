// The bundles beside each other, over random shapes.
#include <algorithm>
#include <random>

#include "tests/support/catch.h"
#include "tests/unit/kernels/kernel_fixtures.h"

namespace lectern {
namespace {

const KernelTable* runnable(std::string_view name) {
  for (const KernelTable* table : runnable_tables()) {
    if (name == table->name) return table;
  }
  return nullptr;
}

// Some rows of a matrix times some tokens, as a worker's share of the engine's work.
struct Case {
  DType dtype;
  int32_t rows, cols, n_tokens, row_begin, row_end;
  bool with_bias, accumulate;
  uint32_t seed;

  static Case random(uint32_t seed) {
    std::mt19937 rng(seed);
    const auto up_to = [&](int32_t n) { return static_cast<int32_t>(rng() % static_cast<uint32_t>(n)); };
    Case c = {.dtype = static_cast<DType>(up_to(kDTypeCount)), .rows = 1 + up_to(100), .seed = seed};
    c.cols = std::max(info_of(c.dtype).block_elements, 32) * (1 + up_to(9));
    c.n_tokens = 1 + (up_to(3) == 0 ? up_to(150) : up_to(9));  // sometimes more than a token tile
    const int32_t tiles = (c.rows + kRowTile - 1) / kRowTile, first = up_to(tiles);
    c.row_begin = first * kRowTile;
    c.row_end = std::min(c.rows, (first + 1 + up_to(tiles - first)) * kRowTile);
    c.with_bias = up_to(2) == 0;
    c.accumulate = up_to(2) == 0;
    return c;
  }

  // y[n_tokens, rows]; what no row of the share belongs to stays 0.5.
  std::vector<float> run(const KernelTable& table) const {
    const PackedWeights w(table, dtype, random_weights(dtype, rows, cols, seed), rows, cols);
    const auto x = random_floats(static_cast<size_t>(n_tokens) * static_cast<size_t>(cols), seed + 1);
    const auto bias = random_floats(static_cast<size_t>(rows), seed + 2);
    GuardedBuffer<uint8_t> q(table.activation_bytes(dtype, n_tokens, cols), 64);
    table.quantize(dtype, x.data(), cols, n_tokens, cols, 0, n_tokens, q.data());
    GuardedBuffer<float> y(static_cast<size_t>(n_tokens) * static_cast<size_t>(rows));
    std::fill_n(y.data(), y.size(), 0.5f);
    table.matmul({&w.matrix(), q.data(), n_tokens, row_begin, row_end, with_bias ? bias.data() : nullptr,
                  y.data(), rows, accumulate});
    return {y.data(), y.data() + y.size()};
  }
};

TEST_CASE("the AVX-512 VNNI bundle gives the AVX2 bundle's products bit for bit") {
  const KernelTable* narrow = runnable("avx2");
  const KernelTable* wide = runnable("avx512vnni");
  if (narrow == nullptr || wide == nullptr) LECTERN_SKIP("this processor cannot run both bundles");
  for (uint32_t seed = 0; seed < 400; ++seed) {
    const Case c = Case::random(seed);
    INFO(info_of(c.dtype).name << " rows " << c.rows << " cols " << c.cols << " tokens " << c.n_tokens
                               << " share " << c.row_begin << ".." << c.row_end << " seed " << seed);
    CHECK(c.run(*narrow) == c.run(*wide));
  }
}

}  // namespace
}  // namespace lectern
