// Weights in blocks of 32 (Q8_0, Q4_0 .. Q5_1, IQ4): an integer sum a block, scaled in float.
#include "kernels/cpu/avx512vnni.h"
#include "kernels/cpu/avx512vnni_tile.h"

namespace lectern::avx512vnni {
namespace {

using avx2::Activations32;
using avx2::kBytesPer32;
using avx2::Quants;

// What the unsigned quants lie above the values that they stand for.
template <typename F>
constexpr int kOffset = F::kQuants == Quants::kUnsigned ? F::kOffset : 128;

template <typename F>
LECTERN_ALWAYS_INLINE auto unsigned_quants(const TilePair& planes) {
  if constexpr (F::kQuants == Quants::kSigned) {
    return FromBytes{planes};
  } else if constexpr (F::kQuants == Quants::kTable) {
    return FromTable{planes};
  } else {
    return FromPlanes<F>{planes};
  }
}

// The factors of a block for 16 rows.
template <typename F>
struct Factors {
  Factors() = default;
  explicit LECTERN_ALWAYS_INLINE Factors(const TilePair& block)
      : scale(F::kFloatScale ? _mm512_castsi512_ps(block(0)) : block.halves(0)) {
    if constexpr (F::kMinimum) minimum = block.halves(kHalves);
  }

  // total + a block's integer sum, scaled on both sides, + the minimum times the sum of token t's
  // activations.
  LECTERN_ALWAYS_INLINE __m512 add_to(__m512 total, __m512i sum, const Activations32& x, int t) const {
    const __m512 x_scale = broadcast_float(x.scales + t * 4);
    total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, x_scale), total);
    if constexpr (F::kMinimum) {
      const __m512 x_sum = _mm512_mul_ps(x_scale, _mm512_cvtepi32_ps(broadcast4(x.negated_sums + t * 4)));
      total = _mm512_fnmadd_ps(minimum, x_sum, total);
    }
    return total;
  }

  __m512 scale, minimum;
};

// sums[t][v] = 32 columns of pair v, offsets taken back, times token `token` + t.
template <typename F, int T, int V, typename Source>
LECTERN_ALWAYS_INLINE void dot(const Source& source, const Activations32& x, int token, __m512i sums[T][V]) {
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) {
    __m512i start = _mm512_setzero_si512();
    if constexpr (kOffset<F> != 0) {
      start = _mm512_slli_epi32(broadcast4(x.negated_sums + (token + t) * 4), avx2::log2(kOffset<F>));
    }
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) sums[t][v] = start;
  }
  dot_vectors<T, V, 0, 8>(source, x.quants + token * 32, 32, sums);
}

template <typename F>
struct Kernel {
  // A block of V pairs of row tiles, unpacked to L1.
  template <int V>
  struct Unpacked {
    alignas(64) uint8_t strip[8 * V * 64];
    Factors<F> factors[V];
  };

  // totals[t][V * 16] += the block times tokens [token, token + T).
  template <int T, int V>
  static LECTERN_ALWAYS_INLINE void multiply(const Unpacked<V>& w, const Activations32& x, int token,
                                             float* totals) {
    __m512i sums[T][V];
    dot<F, T, V>(FromStrip<V>{w.strip}, x, token, sums);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) {
        float* total = totals + ((token + t) * V + v) * kRows;
        _mm512_store_ps(total, w.factors[v].add_to(_mm512_load_ps(total), sums[t][v], x, token + t));
      }
    }
  }

  template <int V>
  static void many(const Panel& panel) {
    const int m = panel.n_tokens;
    const int32_t n_blocks = panel.args.w->cols / 32;
    const uint8_t* x = panel.activations(int64_t{kBytesPer32} * n_blocks);
    alignas(64) float totals[avx2::kMaxTokenTile * V * kRows];
    for (int i = 0; i < m * V * kRows; i += kRows) _mm512_store_ps(totals + i, _mm512_setzero_ps());
    for (int32_t b = 0; b < n_blocks; ++b, x += m * kBytesPer32) {
      Unpacked<V> unpacked;
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) {
        const TilePair block = panel.pair(v) + int64_t{F::kBlockBytes} * b;
        block.prefetch<F::kBlockBytes>(avx2::kAhead);
        unpacked.factors[v] = Factors<F>(block);
        unpack<V>(unsigned_quants<F>(block + F::kPlanesAt), v, unpacked.strip);
      }
      avx2::prefetch_outputs<V * kRows>(panel.args, panel.token, panel.row, m, b, n_blocks);
      const Activations32 activations(x, m);
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

void matmul_blocks(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ8_0:
      return for_panels<Kernel<avx2::Q8_0>>(args);
    case DType::kQ4_0:
      return for_panels<Kernel<avx2::Q4_0>>(args);
    case DType::kQ4_1:
      return for_panels<Kernel<avx2::Q4_1>>(args);
    case DType::kQ5_0:
      return for_panels<Kernel<avx2::Q5_0>>(args);
    case DType::kQ5_1:
      return for_panels<Kernel<avx2::Q5_1>>(args);
    case DType::kIQ4_NL:
      return for_panels<Kernel<avx2::IQ4_NL>>(args);
    default:
      return for_panels<Kernel<avx2::IQ4_XS>>(args);
  }
}

}  // namespace lectern::avx512vnni
