// Weights in super-blocks of 256 (Q2_K .. Q6_K): integer sums over a whole super-block, one float
// multiplication at its end.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_tile.h"

namespace lectern::avx2 {
namespace {

// kScales: integer scales a tile block of 32 columns, signed or not. A format has minima, or an offset that
// all its quants carry.
template <typename P, int scales_a_block, bool has_minima, int offset>
struct SuperBlocks : P {
  static constexpr int kScales = scales_a_block;
  static constexpr bool kMinima = has_minima;
  static constexpr int kOffset = offset;
  static constexpr int kScaleBytes = 64 * kScales;  // of a super-block
  static constexpr int kScalesAt = has_minima ? 2 * kHalves : kHalves;
  static constexpr int kMinimaAt = kScalesAt + kScaleBytes;
  static constexpr int kPlanesAt = kMinimaAt + (has_minima ? kScaleBytes : 0);
  static constexpr int kSuperBlockBytes = kPlanesAt + 8 * P::kBytes;
  // The pair sums must be widened where a scale ends.
  static constexpr int kWidenAfter = P::kSteps < 8 / kScales ? P::kSteps : 8 / kScales;
};

using Q2_K = SuperBlocks<Planes<false, 2>, 2, true, 0>;
using Q3_K = SuperBlocks<Planes<false, 3>, 2, false, 4>;
using Q4_K = SuperBlocks<Planes<true, 0>, 1, true, 0>;
using Q5_K = SuperBlocks<Planes<true, 1>, 1, true, 0>;
using Q6_K = SuperBlocks<Planes<true, 2>, 2, false, 32>;

// One super-block of R row tiles, unpacked for the tokens to come.
template <typename F, int R>
struct Unpacked {
  alignas(32) uint8_t strips[8][8 * R * 32];  // [tile block][vector][R][32]
  __m256i scales[8][F::kScales][R];           // 16-bit, each row's twice
  // 16-bit pairs that meet pairs of sums of activations: minima, or the scales again where there is an offset
  __m256i pairs[4 * F::kScales][R];
  __m256 d[R], dmin[R];
};

template <typename F, int R>
LECTERN_ALWAYS_INLINE void unpack_scales(const uint8_t* src, int r, Unpacked<F, R>& out) {
  out.d[r] = load_halves(src);
  if constexpr (F::kMinima) out.dmin[r] = load_halves(src + kHalves);
  const uint8_t* scales = src + F::kScalesAt;
  for (int b = 0; b < 8; ++b) {
    if constexpr (F::kScales == 1) {  // unsigned, 8 rows
      const __m256i wide =
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales + b * 8)));
      out.scales[b][0][r] = _mm256_or_si256(wide, _mm256_slli_epi32(wide, 16));
    } else {  // signed pairs of 8 rows; unsigned ones are below 16
      const __m256i pair = _mm256_cvtepi8_epi16(load16(scales + b * 16));
      const __m256i low = _mm256_and_si256(pair, _mm256_set1_epi32(0xffff));
      const __m256i high = _mm256_andnot_si256(_mm256_set1_epi32(0xffff), pair);
      out.scales[b][0][r] = _mm256_or_si256(low, _mm256_slli_epi32(pair, 16));
      out.scales[b][1][r] = _mm256_or_si256(high, _mm256_srli_epi32(pair, 16));
      if constexpr (!F::kMinima) out.pairs[b][r] = pair;
    }
  }
  if constexpr (F::kMinima) {
    for (int i = 0; i < 4 * F::kScales; ++i) {
      out.pairs[i][r] = _mm256_cvtepu8_epi16(load16(src + F::kMinimaAt + i * 16));
    }
  }
}

template <typename F, int R>
LECTERN_ALWAYS_INLINE void unpack_super_block(const uint8_t* src, size_t row_tile_bytes,
                                              Unpacked<F, R>& out) {
  for (int r = 0; r < R; ++r) {
    const uint8_t* tile = src + static_cast<size_t>(r) * row_tile_bytes;
    unpack_scales<F, R>(tile, r, out);
    for (int b = 0; b < 8; ++b) {
      unpack<F, R * 32>(tile + F::kPlanesAt + b * F::kBytes, out.strips[b] + r * 32);
    }
  }
}

// What the tile's tokens share of a super-block of activations (avx2_layout.h).
struct Activations256 {
  Activations256(const uint8_t* block, int m)
      : quants(block), scales(block + m * 256), sums_16(scales + m * 4), sums_32(sums_16 + m * 32) {}
  const uint8_t *quants, *scales, *sums_16, *sums_32;
};

// totals[t][R * 8] += the super-block times tokens [token, token + T) of the tile.
template <typename F, int T, int R>
LECTERN_ALWAYS_INLINE void multiply(const Unpacked<F, R>& w, const Activations256& x, int token,
                                    float* totals) {
  __m256i sums[T][R], corrections[T][R];
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) sums[t][r] = corrections[t][r] = _mm256_setzero_si256();
  }
  for (int b = 0; b < 8; ++b) {
    dot_block<T, R, F::kWidenAfter, F::kScales>(w.strips[b], x.quants + token * 256 + b * 32, 256,
                                                w.scales[b][0], sums);
  }
  const uint8_t* pair_sums = F::kScales == 1 ? x.sums_32 + token * 16 : x.sums_16 + token * 32;
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int i = 0; i < 4 * F::kScales; ++i) {
      const __m256i pair = broadcast4(pair_sums + t * 16 * F::kScales + i * 4);
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r) {
        corrections[t][r] = _mm256_add_epi32(corrections[t][r], _mm256_madd_epi16(w.pairs[i][r], pair));
        keep_order(corrections[t][r]);
      }
    }
    const __m256 scale = _mm256_castsi256_ps(broadcast4(x.scales + (token + t) * 4));
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
      float* total = totals + (token + t) * R * 8 + r * 8;
      __m256 product;
      if constexpr (F::kMinima) {
        product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[t][r]), w.d[r]);
        product = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(corrections[t][r]), w.dmin[r], product);
      } else {
        constexpr int kShift = F::kOffset == 32 ? 5 : 2;
        const __m256i sum = _mm256_sub_epi32(sums[t][r], _mm256_slli_epi32(corrections[t][r], kShift));
        product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), w.d[r]);
      }
      _mm256_storeu_ps(total, _mm256_fmadd_ps(product, scale, _mm256_loadu_ps(total)));
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
    const Activations256 activations(x, m);
    int t = 0;
    for (; t + 4 <= m; t += 4) multiply<F, 4, R>(unpacked, activations, t, totals);
    if (m - t == 3) multiply<F, 3, R>(unpacked, activations, t, totals);
    if (m - t == 2) multiply<F, 2, R>(unpacked, activations, t, totals);
    if (m - t == 1) multiply<F, 1, R>(unpacked, activations, t, totals);
  }
  write_out<R>(args, token, row, m, totals);
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

void matmul_super_blocks(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ2_K:
      return matmul_format<Q2_K>(args);
    case DType::kQ3_K:
      return matmul_format<Q3_K>(args);
    case DType::kQ4_K:
      return matmul_format<Q4_K>(args);
    case DType::kQ5_K:
      return matmul_format<Q5_K>(args);
    default:
      return matmul_format<Q6_K>(args);
  }
}

}  // namespace lectern::avx2
