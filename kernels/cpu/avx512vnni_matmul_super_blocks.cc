// Weights in super-blocks of 256 (Q2_K .. Q6_K): integer sums over a whole super-block, one float
// multiplication at its end.
#include "kernels/cpu/avx512vnni.h"
#include "kernels/cpu/avx512vnni_tile.h"

namespace lectern::avx512vnni {
namespace {

using avx2::Activations256;
using avx2::kBytesPer256;

// Scale k of tile block b for 16 rows, as 32-bit integers.
template <typename F>
LECTERN_ALWAYS_INLINE __m512i scale_of(const TilePair& super_block, int b, int k) {
  if constexpr (F::kScales == 1) {  // unsigned, 8 rows of each tile
    return _mm512_cvtepu8_epi32(super_block.eight(F::kScalesAt + b * 8));
  } else {  // signed pairs of 8 rows of each tile (unsigned ones are below 16)
    const __m512i pair = _mm512_cvtepi8_epi16(super_block.sixteen(F::kScalesAt + b * 16));
    return _mm512_srai_epi32(k == 0 ? _mm512_slli_epi32(pair, 16) : pair, 16);
  }
}

// The 16-bit pairs that meet the i-th pair of sums of activations: minima, or where the quants carry an
// offset the scales.
template <typename F>
LECTERN_ALWAYS_INLINE __m512i pairs_of(const TilePair& super_block, int i) {
  if constexpr (F::kMinima) return _mm512_cvtepu8_epi16(super_block.sixteen(F::kMinimaAt + i * 16));
  return _mm512_cvtepi8_epi16(super_block.sixteen(F::kScalesAt + i * 16));
}

// sums[t][v] += tile block b of V pairs, times its scales, times token t.
// scale(k, v): the scale of pair v for columns 16k of the block and up, or for all where there is one.
template <typename F, int T, int V, typename Source, typename Scale>
LECTERN_ALWAYS_INLINE void dot_block(const Source& source, const Scale& scale, const uint8_t* q,
                                     __m512i sums[T][V]) {
  LECTERN_UNROLL
  for (int k = 0; k < F::kScales; ++k) {
    __m512i part[T][V];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) part[t][v] = _mm512_setzero_si512();
    }
    if constexpr (F::kScales == 1) {
      dot_vectors<T, V, 0, 8>(source, q, 256, part);
    } else if (k == 0) {
      dot_vectors<T, V, 0, 4>(source, q, 256, part);
    } else {
      dot_vectors<T, V, 4, 8>(source, q, 256, part);
    }
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) {
        sums[t][v] = _mm512_add_epi32(sums[t][v], _mm512_mullo_epi32(part[t][v], scale(k, v)));
        keep_order(sums[t][v]);
      }
    }
  }
}

// total + token t's scale times d and dmin times the integer sums of a super-block.
template <typename F>
LECTERN_ALWAYS_INLINE __m512 add_scaled(__m512 total, __m512i sum, __m512i correction, __m512 d, __m512 dmin,
                                        const Activations256& x, int t) {
  __m512 product;
  if constexpr (F::kMinima) {
    product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), d);
    product = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(correction), dmin, product);
  } else {
    sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(correction, avx2::log2(F::kOffset)));
    product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), d);
  }
  return _mm512_fmadd_ps(product, broadcast_float(x.scales + t * 4), total);
}

template <typename F>
struct Kernel {
  static constexpr int kPairs = 4 * F::kScales;

  // A super-block of V pairs of row tiles, unpacked to L1.
  template <int V>
  struct Unpacked {
    alignas(64) uint8_t strips[8][8 * V * 64];
    __m512i scales[8][F::kScales][V];
    __m512i pairs[kPairs][V];
    __m512 d[V], dmin[V];

    LECTERN_ALWAYS_INLINE void set(const TilePair& src, int v) {
      d[v] = dmin[v] = src.halves(0);
      if constexpr (F::kMinima) dmin[v] = src.halves(kHalves);
      for (int i = 0; i < kPairs; ++i) pairs[i][v] = pairs_of<F>(src, i);
      for (int b = 0; b < 8; ++b) {
        for (int k = 0; k < F::kScales; ++k) scales[b][k][v] = scale_of<F>(src, b, k);
        const TilePair planes = src + F::kPlanesAt + b * F::kBytes;
        planes.prefetch<F::kBytes>(avx2::kAhead);
        unpack<V>(FromPlanes<F>{planes}, v, strips[b]);
      }
    }
  };

  // totals[t][V * 16] += the super-block times tokens [token, token + T).
  template <int T, int V>
  static LECTERN_ALWAYS_INLINE void multiply(const Unpacked<V>& w, const Activations256& x, int token,
                                             float* totals) {
    __m512i sums[T][V];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) sums[t][v] = _mm512_setzero_si512();
    }
    for (int b = 0; b < 8; ++b) {
      const auto scale = [&](int k, int v) __attribute__((always_inline)) {
        return w.scales[b][k][v];
      };
      dot_block<F, T, V>(FromStrip<V>{w.strips[b]}, scale, x.quants + token * 256 + b * 32, sums);
    }
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      __m512i corrections[V];
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) corrections[v] = _mm512_setzero_si512();
      LECTERN_UNROLL
      for (int i = 0; i < kPairs; ++i) {
        const __m512i pair = broadcast4(x.pair_sums<F>(token + t) + i * 4);
        LECTERN_UNROLL
        for (int v = 0; v < V; ++v) corrections[v] = _mm512_dpwssd_epi32(corrections[v], w.pairs[i][v], pair);
      }
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) {
        float* total = totals + ((token + t) * V + v) * kRows;
        _mm512_store_ps(total, add_scaled<F>(_mm512_load_ps(total), sums[t][v], corrections[v], w.d[v],
                                             w.dmin[v], x, token + t));
      }
    }
  }

  template <int V>
  static void many(const Panel& panel) {
    const int m = panel.n_tokens;
    const int32_t n_super_blocks = panel.args.w->cols / 256;
    const uint8_t* x = panel.activations(int64_t{kBytesPer256} * n_super_blocks);
    alignas(64) float totals[avx2::kMaxTokenTile * V * kRows];
    for (int i = 0; i < m * V * kRows; i += kRows) _mm512_store_ps(totals + i, _mm512_setzero_ps());
    for (int32_t s = 0; s < n_super_blocks; ++s, x += m * kBytesPer256) {
      Unpacked<V> unpacked;
      for (int v = 0; v < V; ++v) unpacked.set(panel.pair(v) + int64_t{F::kSuperBlockBytes} * s, v);
      avx2::prefetch_outputs<V * kRows>(panel.args, panel.token, panel.row, m, s, n_super_blocks);
      const Activations256 activations(x, m);
      int t = 0;
      for (; t + 4 <= m; t += 4) multiply<4, V>(unpacked, activations, t, totals);
      if (m - t == 3) multiply<3, V>(unpacked, activations, t, totals);
      if (m - t == 2) multiply<2, V>(unpacked, activations, t, totals);
      if (m - t == 1) multiply<1, V>(unpacked, activations, t, totals);
    }
    write_out<V>(panel, totals);
  }
};

}  // namespace

void matmul_super_blocks(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ2_K:
      return for_panels<Kernel<avx2::Q2_K>>(args);
    case DType::kQ3_K:
      return for_panels<Kernel<avx2::Q3_K>>(args);
    case DType::kQ4_K:
      return for_panels<Kernel<avx2::Q4_K>>(args);
    case DType::kQ5_K:
      return for_panels<Kernel<avx2::Q5_K>>(args);
    default:
      return for_panels<Kernel<avx2::Q6_K>>(args);
  }
}

}  // namespace lectern::avx512vnni
