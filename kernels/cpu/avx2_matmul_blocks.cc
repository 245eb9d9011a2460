// Weights in blocks of 32 (Q8_0, Q4_0 .. Q5_1, IQ4): an integer sum a block, scaled in float.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_tile.h"

namespace lectern::avx2 {
namespace {

// Formats of unsigned quants: w = d * (q - offset), or d * q + m.
template <typename P, bool has_minimum, int offset>
struct Unsigned : P {
  static constexpr bool kShifted = true;
  static constexpr int kPlanesAt = has_minimum ? 2 * kHalves : kHalves;
  static constexpr int kBlockBytes = kPlanesAt + P::kBytes;
  using Direct = FromPlanes<P>;

  static LECTERN_ALWAYS_INLINE __m256 scale(const uint8_t* block) { return load_halves(block); }
  // What a sum of activations is multiplied with.
  static LECTERN_ALWAYS_INLINE __m256 shift(const uint8_t* block) {
    if constexpr (has_minimum) return load_halves(block + kHalves);
    return _mm256_mul_ps(_mm256_set1_ps(-static_cast<float>(offset)), load_halves(block));
  }
  template <int T, int R, typename Source>
  static LECTERN_ALWAYS_INLINE void dot(const Source& source, const uint8_t* q, __m256i sums[T][R]) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i factors[2] = {ones, ones};
    dot_block<T, R, P::kSteps, 1>(source, q, 32, factors, sums);
  }
};

// Formats of signed bytes. vpmaddubsw wants one side unsigned: the weight's magnitude, its sign moved to the
// activation. 2 * 128 * 127 = 32,512 fits in 16 bits once, so every product is widened.
struct Signed {
  static constexpr bool kShifted = false;
  static LECTERN_ALWAYS_INLINE __m256 shift(const uint8_t*) { return _mm256_setzero_ps(); }

  template <int T, int R, typename Source>
  static LECTERN_ALWAYS_INLINE void dot(const Source& source, const uint8_t* q, __m256i sums[T][R]) {
    const __m256i ones = _mm256_set1_epi16(1);
    LECTERN_UNROLL
    for (int i = 0; i < 8; ++i) {
      __m256i w[R], magnitude[R];
      LECTERN_UNROLL
      for (int r = 0; r < R; ++r) {
        w[r] = source.vector(i, r);
        magnitude[r] = _mm256_abs_epi8(w[r]);
      }
      LECTERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const __m256i a = broadcast4(q + t * 32 + i * 4);
        LECTERN_UNROLL
        for (int r = 0; r < R; ++r) {
          const __m256i products = _mm256_maddubs_epi16(magnitude[r], _mm256_sign_epi8(a, w[r]));
          sums[t][r] = _mm256_add_epi32(sums[t][r], _mm256_madd_epi16(products, ones));
          keep_order(sums[t][r]);
        }
      }
    }
  }
};

struct Q8_0 : Signed {
  static constexpr int kPlanesAt = kHalves;
  static constexpr int kBlockBytes = kHalves + kBytePlane;
  using Direct = FromStrip<1>;  // the bytes lie as in a strip
  static LECTERN_ALWAYS_INLINE __m256 scale(const uint8_t* block) { return load_halves(block); }
};

// Nibbles that are indices into a table of 16 signed values.
struct FromTable {
  const uint8_t* planes;
  LECTERN_ALWAYS_INLINE __m256i vector(int i, int) const {
    const __m256i values = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113));
    return _mm256_shuffle_epi8(values, unpack_vector<Planes<true, 0>>(planes, i));
  }
};
template <int header>
struct IQ4 : Signed {
  static constexpr int kPlanesAt = header;
  static constexpr int kBlockBytes = header + kNibblePlane;
  using Direct = FromTable;
};
struct IQ4_NL : IQ4<kHalves> {
  static LECTERN_ALWAYS_INLINE __m256 scale(const uint8_t* block) { return load_halves(block); }
};
struct IQ4_XS : IQ4<2 * kHalves> {
  static LECTERN_ALWAYS_INLINE __m256 scale(const uint8_t* block) { return _mm256_castsi256_ps(load(block)); }
};

using Q4_0 = Unsigned<Planes<true, 0>, false, 8>;
using Q4_1 = Unsigned<Planes<true, 0>, true, 0>;
using Q5_0 = Unsigned<Planes<true, 1>, false, 16>;
using Q5_1 = Unsigned<Planes<true, 1>, true, 0>;

LECTERN_ALWAYS_INLINE __m256 broadcast_float(const uint8_t* p) {
  return _mm256_castsi256_ps(broadcast4(p));
}

// total + (a block's integer sum, scaled on both sides) + (its shift times the scaled sum of the
// activations). x_scales: of the token, that of the sum m floats further on.
template <typename F>
LECTERN_ALWAYS_INLINE __m256 add_scaled(__m256i sum, __m256 scale, __m256 shift, const uint8_t* x_scales,
                                        int m, __m256 total) {
  total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, broadcast_float(x_scales)), total);
  if constexpr (F::kShifted) total = _mm256_fmadd_ps(shift, broadcast_float(x_scales + m * 4), total);
  return total;
}

// -- many tokens: blocks are unpacked first -----------------------------------------------------------------

template <int R>
struct Unpacked {
  alignas(32) uint8_t strip[8 * R * 32];  // [vector][R][32]
  __m256 scale[R], shift[R];
};

template <typename F, int R>
LECTERN_ALWAYS_INLINE void unpack_block(const uint8_t* src, size_t row_tile_bytes, Unpacked<R>& out) {
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    const uint8_t* block = src + static_cast<size_t>(r) * row_tile_bytes;
    prefetch<F::kBlockBytes>(block + kAhead);
    out.scale[r] = F::scale(block);
    out.shift[r] = F::shift(block);
    const typename F::Direct source{block + F::kPlanesAt};
    LECTERN_UNROLL
    for (int i = 0; i < 8; ++i) store(out.strip + (i * R + r) * 32, source.vector(i, 0));
  }
}

// totals[t][R * 8] += the block times tokens [token, token + T) of a tile of m. x: that block of activations.
template <typename F, int T, int R>
LECTERN_ALWAYS_INLINE void multiply(const Unpacked<R>& w, const uint8_t* x, int m, int token, float* totals) {
  __m256i sums[T][R];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) sums[t][r] = _mm256_setzero_si256();
  }
  F::template dot<T, R>(FromStrip<R>{w.strip}, x + token * 32, sums);
  const uint8_t* scales = x + m * 32 + token * 4;
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      float* total = totals + (token + t) * R * 8 + r * 8;
      _mm256_store_ps(
          total, add_scaled<F>(sums[t][r], w.scale[r], w.shift[r], scales + t * 4, m, _mm256_load_ps(total)));
    }
  }
}

template <typename F, int R>
void row_tiles(const MatmulArgs& args, int32_t row, int32_t token, int m) {
  const PackedMatrix& w = *args.w;
  const int32_t n_blocks = w.cols / 32;
  const auto* src =
      static_cast<const uint8_t*>(w.data) + static_cast<size_t>(row / kRowTile) * w.row_tile_bytes;
  const auto* x = static_cast<const uint8_t*>(args.x) + static_cast<int64_t>(token) * n_blocks * kBytesPer32;
  alignas(32) float totals[kMaxTokenTile * R * 8];
  for (int i = 0; i < m * R * 8; i += 8) _mm256_store_ps(totals + i, _mm256_setzero_ps());
  for (int32_t b = 0; b < n_blocks; ++b, src += F::kBlockBytes, x += m * kBytesPer32) {
    Unpacked<R> unpacked;
    unpack_block<F, R>(src, w.row_tile_bytes, unpacked);
    int t = 0;
    for (; t + 4 <= m; t += 4) multiply<F, 4, R>(unpacked, x, m, t, totals);
    if (m - t == 3) multiply<F, 3, R>(unpacked, x, m, t, totals);
    if (m - t == 2) multiply<F, 2, R>(unpacked, x, m, t, totals);
    if (m - t == 1) multiply<F, 1, R>(unpacked, x, m, t, totals);
  }
  write_out<R>(args, token, row, m, totals);
}

// -- one or two tokens: straight from the planes, the same arithmetic ---------------------------------------

template <typename F, int T>
void row_tile_few(const MatmulArgs& args, int32_t row, int32_t token) {
  const PackedMatrix& w = *args.w;
  const int32_t n_blocks = w.cols / 32;
  const auto* src =
      static_cast<const uint8_t*>(w.data) + static_cast<size_t>(row / kRowTile) * w.row_tile_bytes;
  const auto* x = static_cast<const uint8_t*>(args.x) + static_cast<int64_t>(token) * n_blocks * kBytesPer32;
  __m256 totals[T];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) totals[t] = _mm256_setzero_ps();
  for (int32_t b = 0; b < n_blocks; ++b, src += F::kBlockBytes, x += T * kBytesPer32) {
    prefetch<F::kBlockBytes>(src + kFarAhead);
    __m256i sums[T][1];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) sums[t][0] = _mm256_setzero_si256();
    F::template dot<T, 1>(typename F::Direct{src + F::kPlanesAt}, x, sums);
    const __m256 scale = F::scale(src), shift = F::shift(src);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      totals[t] = add_scaled<F>(sums[t][0], scale, shift, x + T * 32 + t * 4, T, totals[t]);
    }
  }
  alignas(32) float out[T * 8];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) _mm256_store_ps(out + t * 8, totals[t]);
  write_out<1>(args, token, row, T, out);
}

template <typename F>
void matmul_format(const MatmulArgs& args) {
  const int tile = token_tile(args.w->cols);
  for (int32_t token = 0; token < args.n_tokens; token += tile) {
    const int m = args.n_tokens - token < tile ? args.n_tokens - token : tile;
    int32_t row = args.row_begin;
    if (m <= kFewTokens) {
      for (; row < args.row_end; row += kRowTile) {
        m == 1 ? row_tile_few<F, 1>(args, row, token) : row_tile_few<F, 2>(args, row, token);
      }
      continue;
    }
    for (; row + kRowTile < args.row_end; row += 2 * kRowTile) row_tiles<F, 2>(args, row, token, m);
    if (row < args.row_end) row_tiles<F, 1>(args, row, token, m);
  }
}

}  // namespace

void matmul_blocks(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ8_0:
      return matmul_format<Q8_0>(args);
    case DType::kQ4_0:
      return matmul_format<Q4_0>(args);
    case DType::kQ4_1:
      return matmul_format<Q4_1>(args);
    case DType::kQ5_0:
      return matmul_format<Q5_0>(args);
    case DType::kQ5_1:
      return matmul_format<Q5_1>(args);
    case DType::kIQ4_NL:
      return matmul_format<IQ4_NL>(args);
    default:
      return matmul_format<IQ4_XS>(args);
  }
}

}  // namespace lectern::avx2
