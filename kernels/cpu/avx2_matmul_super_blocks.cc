// Weights in super-blocks of 256 (Q2_K .. Q6_K): integer sums over a whole super-block, one float
// multiplication at its end.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_tile.h"

namespace lectern::avx2 {
namespace {

// The pair sums must be widened where a scale ends.
template <typename F>
constexpr int kWidenAfter = steps(F::kBits) < 8 / F::kScales ? steps(F::kBits) : 8 / F::kScales;

// The scales of tile block b as 16-bit factors: every row's twice, for the two halves of its 32-bit lane.
template <typename F>
LECTERN_ALWAYS_INLINE void scales_of(const uint8_t* super_block, int b, __m256i out[F::kScales]) {
  const uint8_t* scales = super_block + F::kScalesAt;
  if constexpr (F::kScales == 1) {  // unsigned, 8 rows
    const __m256i wide =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales + b * 8)));
    out[0] = _mm256_or_si256(wide, _mm256_slli_epi32(wide, 16));
  } else {  // signed pairs of 8 rows (unsigned ones are below 16)
    const __m256i pair = _mm256_cvtepi8_epi16(load16(scales + b * 16));
    const __m256i low = _mm256_and_si256(pair, _mm256_set1_epi32(0xffff));
    const __m256i high = _mm256_andnot_si256(_mm256_set1_epi32(0xffff), pair);
    out[0] = _mm256_or_si256(low, _mm256_slli_epi32(pair, 16));
    out[1] = _mm256_or_si256(high, _mm256_srli_epi32(pair, 16));
  }
}

// The 16-bit pairs that meet the i-th pair of sums of activations: minima, or where the quants carry an
// offset the scales.
template <typename F>
LECTERN_ALWAYS_INLINE __m256i pairs_of(const uint8_t* super_block, int i) {
  if constexpr (F::kMinima) return _mm256_cvtepu8_epi16(load16(super_block + F::kMinimaAt + i * 16));
  return _mm256_cvtepi8_epi16(load16(super_block + F::kScalesAt + i * 16));
}

// d and dmin times the integer sums of a super-block.
template <typename F>
LECTERN_ALWAYS_INLINE __m256 scaled(__m256i sum, __m256i correction, __m256 d, __m256 dmin) {
  if constexpr (F::kMinima) {
    const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), d);
    return _mm256_fnmadd_ps(_mm256_cvtepi32_ps(correction), dmin, product);
  } else {
    sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(correction, log2(F::kOffset)));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), d);
  }
}

// -- many tokens: super-blocks are unpacked first -----------------------------------------------------------

template <typename F, int R>
struct Unpacked {
  alignas(32) uint8_t strips[8][8 * R * 32];  // [tile block][vector][R][32]
  __m256i scales[8][F::kScales][R];
  __m256i pairs[4 * F::kScales][R];
  __m256 d[R], dmin[R];
};

template <typename F, int R>
LECTERN_ALWAYS_INLINE void unpack_super_block(const uint8_t* src, size_t row_tile_bytes,
                                              Unpacked<F, R>& out) {
  for (int r = 0; r < R; ++r, src += row_tile_bytes) {
    out.d[r] = load_halves(src);
    if constexpr (F::kMinima) out.dmin[r] = load_halves(src + kHalves);
    for (int i = 0; i < 4 * F::kScales; ++i) out.pairs[i][r] = pairs_of<F>(src, i);
    for (int b = 0; b < 8; ++b) {
      __m256i scales[F::kScales];
      scales_of<F>(src, b, scales);
      for (int k = 0; k < F::kScales; ++k) out.scales[b][k][r] = scales[k];
      const uint8_t* planes = src + F::kPlanesAt + b * F::kBytes;
      prefetch<F::kBytes>(planes + kAhead);
      unpack<F, R>(planes, r, out.strips[b]);
    }
  }
}

// totals[t][R * 8] += the super-block times tokens [token, token + T) of the tile.
template <typename F, int T, int R>
LECTERN_ALWAYS_INLINE void multiply(const Unpacked<F, R>& w, const Activations256& x, int token,
                                    float* totals) {
  __m256i sums[T][R], corrections[T][R];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) sums[t][r] = corrections[t][r] = _mm256_setzero_si256();
  }
  for (int b = 0; b < 8; ++b) {
    dot_block<T, R, kWidenAfter<F>, F::kScales>(FromStrip<R>{w.strips[b]}, x.quants + token * 256 + b * 32,
                                                256, w.scales[b][0], sums);
  }
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    LECTERN_UNROLL
    for (int i = 0; i < 4 * F::kScales; ++i) {
      const __m256i pair = broadcast4(x.pair_sums<F>(token + t) + i * 4);
      LECTERN_UNROLL
      for (int r = 0; r < R; ++r) {
        corrections[t][r] = _mm256_add_epi32(corrections[t][r], _mm256_madd_epi16(w.pairs[i][r], pair));
        keep_order(corrections[t][r]);
      }
    }
    const __m256 scale = _mm256_castsi256_ps(broadcast4(x.scales + (token + t) * 4));
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      float* total = totals + (token + t) * R * 8 + r * 8;
      const __m256 product = scaled<F>(sums[t][r], corrections[t][r], w.d[r], w.dmin[r]);
      _mm256_store_ps(total, _mm256_fmadd_ps(product, scale, _mm256_load_ps(total)));
    }
  }
}

template <typename F, int R>
void row_tiles(const MatmulArgs& args, int32_t row, int32_t token, int m) {
  const PackedMatrix& w = *args.w;
  const int32_t n_super_blocks = w.cols / 256;
  const auto* src =
      static_cast<const uint8_t*>(w.data) + static_cast<size_t>(row / kRowTile) * w.row_tile_bytes;
  const auto* x =
      static_cast<const uint8_t*>(args.x) + static_cast<int64_t>(token) * n_super_blocks * kBytesPer256;
  alignas(32) float totals[kMaxTokenTile * R * 8];
  for (int i = 0; i < m * R * 8; i += 8) _mm256_store_ps(totals + i, _mm256_setzero_ps());
  for (int32_t s = 0; s < n_super_blocks; ++s, src += F::kSuperBlockBytes, x += m * kBytesPer256) {
    Unpacked<F, R> unpacked;
    unpack_super_block<F, R>(src, w.row_tile_bytes, unpacked);
    prefetch_outputs<R * 8>(args, token, row, m, s, n_super_blocks);
    const Activations256 activations(x, m);
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
  const int32_t n_super_blocks = w.cols / 256;
  const auto* src =
      static_cast<const uint8_t*>(w.data) + static_cast<size_t>(row / kRowTile) * w.row_tile_bytes;
  const auto* x =
      static_cast<const uint8_t*>(args.x) + static_cast<int64_t>(token) * n_super_blocks * kBytesPer256;
  __m256 totals[T];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) totals[t] = _mm256_setzero_ps();
  for (int32_t s = 0; s < n_super_blocks; ++s, src += F::kSuperBlockBytes, x += T * kBytesPer256) {
    const Activations256 activations(x, T);
    __m256i sums[T][1], corrections[T];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) sums[t][0] = corrections[t] = _mm256_setzero_si256();
    for (int b = 0; b < 8; ++b) {
      __m256i scales[F::kScales];
      scales_of<F>(src, b, scales);
      const uint8_t* planes = src + F::kPlanesAt + b * F::kBytes;
      prefetch<F::kBytes>(planes + kFarAhead);
      dot_block<T, 1, kWidenAfter<F>, F::kScales>(FromPlanes<F>{planes}, activations.quants + b * 32, 256,
                                                  scales, sums);
    }
    LECTERN_UNROLL
    for (int i = 0; i < 4 * F::kScales; ++i) {
      const __m256i pairs = pairs_of<F>(src, i);
      LECTERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const __m256i pair = broadcast4(activations.pair_sums<F>(t) + i * 4);
        corrections[t] = _mm256_add_epi32(corrections[t], _mm256_madd_epi16(pairs, pair));
      }
    }
    const __m256 d = load_halves(src), dmin = F::kMinima ? load_halves(src + kHalves) : d;
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      const __m256 scale = _mm256_castsi256_ps(broadcast4(activations.scales + t * 4));
      totals[t] = _mm256_fmadd_ps(scaled<F>(sums[t][0], corrections[t], d, dmin), scale, totals[t]);
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

void matmul_super_blocks(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ2_K:
      return for_row_tiles<Kernel<Q2_K>>(args);
    case DType::kQ3_K:
      return for_row_tiles<Kernel<Q3_K>>(args);
    case DType::kQ4_K:
      return for_row_tiles<Kernel<Q4_K>>(args);
    case DType::kQ5_K:
      return for_row_tiles<Kernel<Q5_K>>(args);
    default:
      return for_row_tiles<Kernel<Q6_K>>(args);
  }
}

}  // namespace lectern::avx2
