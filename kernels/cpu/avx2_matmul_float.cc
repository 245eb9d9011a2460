// Float weights (F32, F16, BF16) times float activations.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_tile.h"

namespace lectern::avx2 {
namespace {

constexpr int kChunk = 64;  // columns whose weights are converted at a time

struct F32 {
  static constexpr int kColumnBytes = 32;
  static LECTERN_ALWAYS_INLINE __m256 column(const uint8_t* src) { return _mm256_castsi256_ps(load(src)); }
};
struct F16 {
  static constexpr int kColumnBytes = 16;
  static LECTERN_ALWAYS_INLINE __m256 column(const uint8_t* src) { return load_halves(src); }
};
struct BF16 {
  static constexpr int kColumnBytes = 16;
  static LECTERN_ALWAYS_INLINE __m256 column(const uint8_t* src) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(src)), 16));
  }
};

// totals[t][R * 8] += `n` columns of weights[n][R * 8] times T rows of activations, x_stride apart.
template <int T, int R>
LECTERN_ALWAYS_INLINE void multiply(const float* weights, int n, const float* x, int64_t x_stride,
                                    float* totals) {
  __m256 sums[T][R];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) sums[t][r] = _mm256_setzero_ps();
  }
  for (int c = 0; c < n; ++c) {
    __m256 w[R];
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) w[r] = _mm256_load_ps(weights + (c * R + r) * 8);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      const __m256 a = _mm256_broadcast_ss(x + t * x_stride + c);
      LECTERN_UNROLL
      for (int r = 0; r < R; ++r) sums[t][r] = _mm256_fmadd_ps(w[r], a, sums[t][r]);
    }
  }
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      float* total = totals + (t * R + r) * 8;
      _mm256_store_ps(total, _mm256_add_ps(_mm256_load_ps(total), sums[t][r]));
    }
  }
}

template <typename F, int R>
void row_tiles(const MatmulArgs& args, int32_t row, int32_t token, int m) {
  const PackedMatrix& w = *args.w;
  const auto* src =
      static_cast<const uint8_t*>(w.data) + static_cast<size_t>(row / kRowTile) * w.row_tile_bytes;
  const float* x = static_cast<const float*>(args.x) + static_cast<int64_t>(token) * w.cols;
  alignas(32) float totals[kMaxTokenTile * R * 8];
  alignas(32) float weights[kChunk * R * 8];
  for (int i = 0; i < m * R * 8; i += 8) _mm256_store_ps(totals + i, _mm256_setzero_ps());
  for (int32_t c = 0; c < w.cols; c += kChunk) {
    const int n = w.cols - c < kChunk ? w.cols - c : kChunk;
    for (int i = 0; i < n; ++i) {
      LECTERN_UNROLL
      for (int r = 0; r < R; ++r) {
        const uint8_t* column =
            src + static_cast<size_t>(r) * w.row_tile_bytes + static_cast<int64_t>(c + i) * F::kColumnBytes;
        _mm256_store_ps(weights + (i * R + r) * 8, F::column(column));
      }
    }
    int t = 0;
    for (; t + 4 <= m; t += 4) multiply<4, R>(weights, n, x + t * w.cols + c, w.cols, totals + t * R * 8);
    for (; t < m; ++t) multiply<1, R>(weights, n, x + t * w.cols + c, w.cols, totals + t * R * 8);
  }
  write_out<R * 8>(args, token, row, m, totals);
}

template <typename F>
void matmul_format(const MatmulArgs& args) {
  const int tile = token_tile(args.w->cols);
  for (int32_t token = 0; token < args.n_tokens; token += tile) {
    const int m = args.n_tokens - token < tile ? args.n_tokens - token : tile;
    int32_t row = args.row_begin;
    for (; row + kRowTile < args.row_end; row += 2 * kRowTile) row_tiles<F, 2>(args, row, token, m);
    if (row < args.row_end) row_tiles<F, 1>(args, row, token, m);
  }
}

}  // namespace

void matmul_float(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kF32:
      return matmul_format<F32>(args);
    case DType::kF16:
      return matmul_format<F16>(args);
    default:
      return matmul_format<BF16>(args);
  }
}

void matmul(const MatmulArgs& args) {
  switch (activations_of(args.w->dtype)) {
    case kFloat:
      return matmul_float(args);
    case kInt8Per32:
      return matmul_blocks(args);
    case kInt8Per256:
      return matmul_super_blocks(args);
  }
}

}  // namespace lectern::avx2
