// Random products, for comparing bundles with each other.
#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/kernel_table.h"

namespace lectern {

// Some rows of a matrix times some tokens, as a worker's share of the engine's work.
struct RandomProduct {
  explicit RandomProduct(uint32_t seed);

  // y[n_tokens, rows]; what no row of the share belongs to stays 0.5.
  std::vector<float> run(const KernelTable& table) const;
  std::string describe() const;

  DType dtype;
  int32_t rows, cols, n_tokens, row_begin, row_end;
  bool with_bias, accumulate;
  uint32_t seed;
};

}  // namespace lectern
