// AMX products of weights in super-blocks of 256 (Q2_K .. Q6_K): tiles of 64 columns, one integer sum over
// the whole super-block, one float multiplication at its end. Only for ISA files.
//
// The integer scales, one every 16 or 32 columns, are multiplied into the quants when these are unpacked, so
// that a tile can sum over all 256 columns: scaling sums between blocks would take the vector units longer
// than the tiles take for the products. Scale times quant has up to 13 bits and a tile takes bytes, hence
// digits, each with sums of its own:
//   Q2_K        scale * quant <= 15 * 3 = 45: a byte
//   Q4_K, Q5_K  the scale's digits: scale = 8 s1 + s0, and s * quant <= 7 * 31 = 217 is an unsigned byte
//   Q3_K        scale * (quant - 4) lies in [-124, 128]: negated, a signed byte
//   Q6_K        the product's digits: scale * (quant - 32) = 256 p1 + p0, p1 signed and p0 not
#pragma once

#include "kernels/cpu/amx_panel.h"

namespace lectern::amx {
namespace {

// Formats with minima have unsigned scales and quants, the others signed ones.
template <typename F>
constexpr int kDigits = F::kBits <= 3 ? 1 : 2;
template <typename F>
constexpr bool kNegated = !F::kMinima && kDigits<F> == 1;
// Of two digits, the higher counts 2 to the power of kDigitBits.
template <typename F>
constexpr int kDigitBits = F::kMinima ? 3 : 8;

// The scales of tile block b of 16 rows, twice in each 32-bit lane: for its first half and for its second.
template <typename F>
LECTERN_ALWAYS_INLINE void scales_of(const TilePair& super_block, int b, __m512i out[2]) {
  if constexpr (F::kScales == 1) {  // unsigned, 8 rows of each tile
    const __m512i wide = _mm512_cvtepu8_epi32(super_block.eight(F::kScalesAt + b * 8));
    out[0] = out[1] = _mm512_or_si512(wide, _mm512_slli_epi32(wide, 16));
  } else {  // signed pairs of 8 rows of each tile (unsigned ones are below 16)
    __m512i pair = _mm512_cvtepi8_epi16(super_block.sixteen(F::kScalesAt + b * 16));
    if constexpr (kNegated<F>) pair = _mm512_sub_epi16(_mm512_setzero_si512(), pair);
    out[0] = _mm512_mask_blend_epi16(0xaaaaaaaa, pair, _mm512_slli_epi32(pair, 16));
    out[1] = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(pair, 16), pair);
  }
}

// Unsigned quants times scales that leave every product below 256: bytes in pairs do not disturb each other.
template <typename F>
LECTERN_ALWAYS_INLINE void unsigned_digits(__m512i quants, __m512i scales, __m512i out[kDigits<F>]) {
  if constexpr (kDigits<F> == 1) {
    out[0] = _mm512_mullo_epi16(quants, scales);
  } else {
    out[0] = _mm512_mullo_epi16(quants, _mm512_and_si512(scales, _mm512_set1_epi16(7)));
    out[1] = _mm512_mullo_epi16(quants, _mm512_srli_epi16(scales, 3));
  }
}

// Signed quants times signed scales, in 16 bits.
template <typename F>
LECTERN_ALWAYS_INLINE void signed_digits(__m512i quants, __m512i scales, __m512i out[kDigits<F>]) {
  constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
  const __m512i even = _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(quants, 8), 8), scales);
  const __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(quants, 8), scales);
  out[0] = _mm512_mask_blend_epi8(kOdd, even, _mm512_slli_epi16(odd, 8));
  if constexpr (kDigits<F> == 2) out[1] = _mm512_mask_blend_epi8(kOdd, _mm512_srli_epi16(even, 8), odd);
}

template <int V, typename F>
struct SuperBlocksKernel {
  static constexpr int kPairs = V;
  static constexpr int kTileColumns = 64;
  static constexpr int kPieces = 8;  // tile blocks
  static constexpr int kParts = 4;   // 64 columns each
  static constexpr int kSums = V * kDigits<F>;
  static constexpr int kMinimumPairs = F::kMinima ? 4 * F::kScales : 0;

  using Activations = avx2::Activations256;
  struct Weights {
    alignas(64) uint8_t strips[V][kDigits<F>][64 * 64];  // 4 columns of 16 rows after another
    __m512i minima[kMinimumPairs + 1][V];                // pairs, as they meet pairs of sums of activations
    __m512 d[V], dmin[V];
  };

  static int n_steps(int32_t cols) { return cols / 256; }

  static LECTERN_ALWAYS_INLINE void unpack(const Panel& panel, int step, int piece, Weights& w) {
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) {
      const TilePair super_block = panel.pair(v) + int64_t{F::kSuperBlockBytes} * step;
      if (piece == 0) set_factors(super_block, v, w);
      const TilePair planes = super_block + F::kPlanesAt + piece * F::kBytes;
      planes.prefetch<F::kBytes>(avx2::kAhead);
      __m512i scales[2];
      scales_of<F>(super_block, piece, scales);
      LECTERN_UNROLL
      for (int i = 0; i < 8; ++i) {
        const __m512i quants = avx2::unpack_vector<F>(planes, i);
        __m512i digits[kDigits<F>];
        if constexpr (F::kMinima) {
          unsigned_digits<F>(quants, scales[i / 4], digits);
        } else {
          signed_digits<F>(_mm512_sub_epi8(quants, _mm512_set1_epi8(F::kOffset)), scales[i / 4], digits);
        }
        LECTERN_UNROLL
        for (int k = 0; k < kDigits<F>; ++k) {
          _mm512_store_si512(w.strips[v][k] + (piece * 8 + i) * 64, digits[k]);
        }
      }
    }
  }

  static Activations activations(const Panel& panel, int step) {
    const int n_super_blocks = panel.args.w->cols / 256, m = panel.n_tokens;
    const uint8_t* x = panel.activations(int64_t{avx2::kBytesPer256} * n_super_blocks);
    return {x + int64_t{step} * m * avx2::kBytesPer256, m};
  }

  template <int part, typename Tiles>
  static LECTERN_ALWAYS_INLINE void multiply(Tiles& tiles, const Work<SuperBlocksKernel>& work) {
    constexpr int kTokens = kTokenTile + part % 2;
    tiles.template load<kTokens>(work.x.quants + work.token * 256 + part * kTileColumns, 256);
    sum<part, 0>(tiles, work);
    if constexpr (kSums > 1) sum<part, 1>(tiles, work);
    if constexpr (kSums > 2) sum<part, 2>(tiles, work);
    if constexpr (kSums > 2) sum<part, 3>(tiles, work);
  }

  static LECTERN_ALWAYS_INLINE void scale(const Work<SuperBlocksKernel>& work, int begin, int end,
                                          float* totals) {
    for (int t = begin; t < end; ++t) scale_token(work, t, totals + t * V * kRows);
  }

 private:
  static LECTERN_ALWAYS_INLINE void scale_token(const Work<SuperBlocksKernel>& work, int t, float* totals) {
    const Weights& w = *work.weights;
    const __m512 x_scale = avx512vnni::broadcast_float(work.x.scales + (work.token + t) * 4);
    __m512 product[V];
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) {
      __m512i sum = work.sums->of(v * kDigits<F>, t);
      if constexpr (kDigits<F> == 2) {
        const __m512i high = work.sums->of(v * kDigits<F> + 1, t);
        sum = _mm512_add_epi32(sum, _mm512_slli_epi32(high, kDigitBits<F>));
      }
      if constexpr (kNegated<F>) sum = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
      product[v] = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), w.d[v]);
    }
    if constexpr (F::kMinima) {
      __m512i corrections[V];
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) corrections[v] = _mm512_setzero_si512();
      LECTERN_UNROLL
      for (int i = 0; i < kMinimumPairs; ++i) {
        const __m512i sums = avx512vnni::broadcast4(work.x.template pair_sums<F>(work.token + t) + i * 4);
        LECTERN_UNROLL
        for (int v = 0; v < V; ++v)
          corrections[v] = _mm512_dpwssd_epi32(corrections[v], w.minima[i][v], sums);
      }
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) {
        product[v] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(corrections[v]), w.dmin[v], product[v]);
      }
    }
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) {
      float* total = totals + v * kRows;
      _mm512_store_ps(total, _mm512_fmadd_ps(product[v], x_scale, _mm512_load_ps(total)));
    }
  }

  static LECTERN_ALWAYS_INLINE void set_factors(const TilePair& super_block, int v, Weights& w) {
    w.d[v] = super_block.halves(0);
    if constexpr (F::kMinima) {
      w.dmin[v] = super_block.halves(avx2::kHalves);
      for (int i = 0; i < kMinimumPairs; ++i) {
        w.minima[i][v] = _mm512_cvtepu8_epi16(super_block.sixteen(F::kMinimaAt + i * 16));
      }
    }
  }

  // Columns [64 part, 64 part + 64) of tile of sums i, pair by pair and digit by digit.
  template <int part, int i, typename Tiles>
  static LECTERN_ALWAYS_INLINE void sum(Tiles& tiles, const Work<SuperBlocksKernel>& work) {
    constexpr int v = i / kDigits<F>, digit = i % kDigits<F>;
    constexpr int kTokens = kTokenTile + part % 2, kWeights = kWeightTile + i % 2;
    if constexpr (part == 0) tiles.template zero<i>();
    tiles.template load<kWeights>(work.weights->strips[v][digit] + part * 16 * 64, 64);
    if constexpr (!F::kMinima && digit + 1 == kDigits<F>) {
      tiles.template add_signed_products<i, kTokens, kWeights>();
    } else {
      tiles.template add_unsigned_products<i, kTokens, kWeights>();
    }
    if constexpr (part + 1 == kParts) tiles.template store<i>(work.sums->tiles[i], 64);
  }
};

template <typename F, typename Tiles>
void multiply_super_blocks(const MatmulArgs& args) {
  avx512vnni::for_panels<PanelKernel<SuperBlocksKernel, F, Tiles>>(args);
}

template <typename Tiles>
void matmul_super_blocks_with(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ2_K:
      return multiply_super_blocks<avx2::Q2_K, Tiles>(args);
    case DType::kQ3_K:
      return multiply_super_blocks<avx2::Q3_K, Tiles>(args);
    case DType::kQ4_K:
      return multiply_super_blocks<avx2::Q4_K, Tiles>(args);
    case DType::kQ5_K:
      return multiply_super_blocks<avx2::Q5_K, Tiles>(args);
    default:
      return multiply_super_blocks<avx2::Q6_K, Tiles>(args);
  }
}

}  // namespace
}  // namespace lectern::amx
