// Weights in blocks of 32 (Q8_0, Q4_0 .. Q5_1, IQ4): an integer sum a block, scaled in float.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_tile.h"

namespace lectern::avx2 {
namespace {

template <typename F>
LECTERN_ALWAYS_INLINE __m256 scale_of(const uint8_t* block) {
  return F::kFloatScale ? _mm256_castsi256_ps(load(block)) : load_halves(block);
}
template <typename F>
LECTERN_ALWAYS_INLINE __m256 minimum_of(const uint8_t* block) {
  return F::kMinimum ? load_halves(block + kHalves) : _mm256_setzero_ps();
}

// Nibbles that are indices into a table of 16 signed values.
struct FromTable {
  const uint8_t* planes;
  LECTERN_ALWAYS_INLINE __m256i vector(int i, int) const {
    const __m256i values = _mm256_broadcastsi128_si256(load16(kIQ4Values));
    return _mm256_shuffle_epi8(values, unpack_vector<Planes<true, 0>>(FromMemory{planes}, i));
  }
};
template <typename F>
struct DirectSource {
  using Type = FromPlanes<F>;
};
template <>
struct DirectSource<Q8_0> {
  using Type = FromStrip<1>;  // the bytes lie as in a strip
};
template <>
struct DirectSource<IQ4_NL> {
  using Type = FromTable;
};
template <>
struct DirectSource<IQ4_XS> {
  using Type = FromTable;
};
template <typename F>
using Direct = typename DirectSource<F>::Type;

// sums[t][r] += unsigned weights times token t, 32 columns.
template <typename F, int T, int R, typename Source>
LECTERN_ALWAYS_INLINE void dot_unsigned(const Source& source, const uint8_t* q, __m256i sums[T][R]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i factors[2] = {ones, ones};
  dot_block<T, R, steps(F::kBits), 1>(source, q, 32, factors, sums);
}

// The same of signed bytes. vpmaddubsw wants one side unsigned: the weight's magnitude, its sign moved to the
// activation. 2 * 128 * 127 = 32,512 fits in 16 bits once, so every product is widened.
template <int T, int R, typename Source>
LECTERN_ALWAYS_INLINE void dot_signed(const Source& source, const uint8_t* q, __m256i sums[T][R]) {
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

// sums[t][r] = 8 rows x 32 columns of row tile r, offsets taken back, times token `token` + t.
template <typename F, int T, int R, typename Source>
LECTERN_ALWAYS_INLINE void dot(const Source& source, const Activations32& x, int token, __m256i sums[T][R]) {
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    __m256i start = _mm256_setzero_si256();
    if constexpr (F::kOffset != 0) {
      start = _mm256_slli_epi32(broadcast4(x.negated_sums + (token + t) * 4), log2(F::kOffset));
    }
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) sums[t][r] = start;
  }
  const uint8_t* q = x.quants + token * 32;
  if constexpr (F::kQuants == Quants::kUnsigned) {
    dot_unsigned<F, T, R>(source, q, sums);
  } else {
    dot_signed<T, R>(source, q, sums);
  }
}

// total + a block's integer sum, scaled on both sides, + its minimum times the sum of token t's activations.
template <typename F>
LECTERN_ALWAYS_INLINE __m256 add_scaled(__m256i sum, __m256 scale, __m256 minimum, const Activations32& x,
                                        int t, __m256 total) {
  const __m256 x_scale = _mm256_castsi256_ps(broadcast4(x.scales + t * 4));
  total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, x_scale), total);
  if constexpr (F::kMinimum) {
    const __m256 x_sum = _mm256_mul_ps(x_scale, _mm256_cvtepi32_ps(broadcast4(x.negated_sums + t * 4)));
    total = _mm256_fnmadd_ps(minimum, x_sum, total);
  }
  return total;
}

// -- many tokens: blocks are unpacked first -----------------------------------------------------------------

template <int R>
struct Unpacked {
  alignas(32) uint8_t strip[8 * R * 32];  // [vector][R][32]
  __m256 scale[R], minimum[R];
};

template <typename F, int R>
LECTERN_ALWAYS_INLINE void unpack_block(const uint8_t* src, size_t row_tile_bytes, Unpacked<R>& out) {
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    const uint8_t* block = src + static_cast<size_t>(r) * row_tile_bytes;
    prefetch<F::kBlockBytes>(block + kAhead);
    out.scale[r] = scale_of<F>(block);
    out.minimum[r] = minimum_of<F>(block);
    const Direct<F> source{block + F::kPlanesAt};
    LECTERN_UNROLL
    for (int i = 0; i < 8; ++i) store(out.strip + (i * R + r) * 32, source.vector(i, 0));
  }
}

// totals[t][R * 8] += the block times tokens [token, token + T) of a tile.
template <typename F, int T, int R>
LECTERN_ALWAYS_INLINE void multiply(const Unpacked<R>& w, const Activations32& x, int token, float* totals) {
  __m256i sums[T][R];
  dot<F, T, R>(FromStrip<R>{w.strip}, x, token, sums);
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      float* total = totals + (token + t) * R * 8 + r * 8;
      _mm256_store_ps(
          total, add_scaled<F>(sums[t][r], w.scale[r], w.minimum[r], x, token + t, _mm256_load_ps(total)));
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
    prefetch_outputs<R * 8>(args, token, row, m, b, n_blocks);
    const Activations32 activations(x, m);
    int t = 0;
    for (; t + 4 <= m; t += 4) multiply<F, 4, R>(unpacked, activations, t, totals);
    if (m - t == 3) multiply<F, 3, R>(unpacked, activations, t, totals);
    if (m - t == 2) multiply<F, 2, R>(unpacked, activations, t, totals);
    if (m - t == 1) multiply<F, 1, R>(unpacked, activations, t, totals);
  }
  write_out<R * 8>(args, token, row, m, totals);
}

// -- few tokens: straight from the planes, the same arithmetic ----------------------------------------------

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
    const Activations32 activations(x, T);
    __m256i sums[T][1];
    dot<F, T, 1>(Direct<F>{src + F::kPlanesAt}, activations, 0, sums);
    const __m256 scale = scale_of<F>(src), minimum = minimum_of<F>(src);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      totals[t] = add_scaled<F>(sums[t][0], scale, minimum, activations, t, totals[t]);
    }
  }
  alignas(32) float out[T * 8];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) _mm256_store_ps(out + t * 8, totals[t]);
  write_out<8>(args, token, row, T, out);
}

// What for_row_tiles calls.
template <typename F>
struct Kernel {
  template <int R>
  static void many(const MatmulArgs& args, int32_t row, int32_t token, int m) {
    row_tiles<F, R>(args, row, token, m);
  }
  template <int T>
  static void few(const MatmulArgs& args, int32_t row, int32_t token) {
    row_tile_few<F, T>(args, row, token);
  }
};

}  // namespace

void matmul_blocks(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ8_0:
      return for_row_tiles<Kernel<Q8_0>>(args);
    case DType::kQ4_0:
      return for_row_tiles<Kernel<Q4_0>>(args);
    case DType::kQ4_1:
      return for_row_tiles<Kernel<Q4_1>>(args);
    case DType::kQ5_0:
      return for_row_tiles<Kernel<Q5_0>>(args);
    case DType::kQ5_1:
      return for_row_tiles<Kernel<Q5_1>>(args);
    case DType::kIQ4_NL:
      return for_row_tiles<Kernel<IQ4_NL>>(args);
    default:
      return for_row_tiles<Kernel<IQ4_XS>>(args);
  }
}

}  // namespace lectern::avx2
