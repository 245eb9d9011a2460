#include "tests/unit/kernels/kernel_fixtures.h"

#include "tests/support/catch.h"

namespace lectern {

PackedWeights::PackedWeights(const KernelTable& table, DType dtype, const std::vector<uint8_t>& src,
                             int32_t rows, int32_t cols)
    : buffer_(table.row_tile_bytes(dtype, cols) * static_cast<size_t>((rows + kRowTile - 1) / kRowTile), 64),
      matrix_{buffer_.data(), dtype, rows, cols, table.row_tile_bytes(dtype, cols)} {
  // The source lies against a guard page as well: a mapped file ends like that.
  GuardedBuffer<uint8_t> file(src.size());
  if (!src.empty()) std::memcpy(file.data(), src.data(), src.size());
  table.pack(dtype, file.data(), rows, cols, 0, (rows + kRowTile - 1) / kRowTile, buffer_.data());
  CHECK(buffer_.front_untouched());
}

std::vector<float> run_matmul(const KernelTable& table, const PackedMatrix& w, const std::vector<float>& x,
                              int32_t n_tokens, const float* bias) {
  GuardedBuffer<uint8_t> quantized(table.activation_bytes(w.dtype, n_tokens, w.cols), 64);
  table.quantize(w.dtype, x.data(), w.cols, n_tokens, w.cols, 0, n_tokens, quantized.data());
  CHECK(quantized.front_untouched());
  GuardedBuffer<float> y(static_cast<size_t>(n_tokens) * static_cast<size_t>(w.rows));
  table.matmul({.w = &w,
                .x = quantized.data(),
                .n_tokens = n_tokens,
                .row_begin = 0,
                .row_end = w.rows,
                .bias = bias,
                .y = y.data(),
                .y_stride = w.rows,
                .accumulate = false});
  CHECK(y.front_untouched());
  return {y.data(), y.data() + y.size()};
}

}  // namespace lectern
