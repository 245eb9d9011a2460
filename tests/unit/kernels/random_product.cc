#include "tests/unit/kernels/random_product.h"

#include <algorithm>
#include <random>

#include "tests/unit/kernels/kernel_fixtures.h"

namespace lectern {

RandomProduct::RandomProduct(uint32_t product_seed) : seed(product_seed) {
  std::mt19937 rng(seed);
  const auto up_to = [&](int32_t n) { return static_cast<int32_t>(rng() % static_cast<uint32_t>(n)); };
  dtype = static_cast<DType>(up_to(kDTypeCount));
  rows = 1 + up_to(100);
  cols = std::max(info_of(dtype).block_elements, 32) * (1 + up_to(9));
  n_tokens = 1 + (up_to(3) == 0 ? up_to(150) : up_to(9));  // sometimes more than a token tile
  const int32_t tiles = (rows + kRowTile - 1) / kRowTile, first = up_to(tiles);
  row_begin = first * kRowTile;
  row_end = std::min(rows, (first + 1 + up_to(tiles - first)) * kRowTile);
  with_bias = up_to(2) == 0;
  accumulate = up_to(2) == 0;
}

std::vector<float> RandomProduct::run(const KernelTable& table) const {
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

std::string RandomProduct::describe() const {
  return std::string(info_of(dtype).name) + " rows " + std::to_string(rows) + " cols " +
         std::to_string(cols) + " tokens " + std::to_string(n_tokens) + " share " +
         std::to_string(row_begin) + ".." + std::to_string(row_end) + " seed " + std::to_string(seed);
}

}  // namespace lectern
