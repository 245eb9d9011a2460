// AMX products of weights in blocks of 32 (Q8_0, Q4_0 .. Q5_1, IQ4): tiles of 32 columns, an integer sum a
// block, scaled in float. Quants are unpacked to what they stand for, as signed bytes, so that no offset is
// to take back. Only for ISA files.
#pragma once

#include "kernels/cpu/amx_panel.h"

namespace lectern::amx {
namespace {

// Vector i of a tile block of 16 rows, signed. Quants with a minimum are at most 31: the same either way.
template <typename F>
LECTERN_ALWAYS_INLINE __m512i signed_quants(const TilePair& planes, int i) {
  if constexpr (F::kQuants == avx2::Quants::kSigned) {
    return planes(i * 32);
  } else if constexpr (F::kQuants == avx2::Quants::kTable) {
    const __m512i values = _mm512_broadcast_i32x4(avx2::load16(avx2::kIQ4Values));
    return _mm512_shuffle_epi8(values, avx2::unpack_vector<avx2::Planes<true, 0>>(planes, i));
  } else {
    return _mm512_sub_epi8(avx2::unpack_vector<F>(planes, i), _mm512_set1_epi8(F::kOffset));
  }
}

template <int V, typename F>
struct BlocksKernel {
  static constexpr int kPairs = V;
  static constexpr int kTileColumns = 32;
  static constexpr int kPieces = 4;  // blocks of a step
  static constexpr int kParts = 2;   // two blocks each
  static constexpr int kSums = kPieces * V;

  struct Weights {
    alignas(64) int8_t strips[kPieces][V][8 * 64];
    __m512 scale[kPieces][V], minimum[kPieces][V];
    int n;  // blocks that there are
  };
  struct Activations {
    const uint8_t* blocks;
    int n_tokens;

    LECTERN_ALWAYS_INLINE avx2::Activations32 block(int b) const {
      return {blocks + int64_t{b} * n_tokens * avx2::kBytesPer32, n_tokens};
    }
  };

  static int n_steps(int32_t cols) { return (cols / 32 + kPieces - 1) / kPieces; }

  static LECTERN_ALWAYS_INLINE void unpack(const Panel& panel, int step, int piece, Weights& w) {
    const int left = panel.args.w->cols / 32 - step * kPieces;
    if (piece == 0) w.n = left < kPieces ? left : kPieces;
    if (piece >= left) return;
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) {
      const TilePair block = panel.pair(v) + int64_t{F::kBlockBytes} * (step * kPieces + piece);
      block.prefetch<F::kBlockBytes>(avx2::kAhead);
      w.scale[piece][v] = F::kFloatScale ? _mm512_castsi512_ps(block(0)) : block.halves(0);
      if constexpr (F::kMinimum) w.minimum[piece][v] = block.halves(avx2::kHalves);
      LECTERN_UNROLL
      for (int i = 0; i < 8; ++i) {
        _mm512_store_si512(w.strips[piece][v] + i * 64, signed_quants<F>(block + F::kPlanesAt, i));
      }
    }
  }

  static Activations activations(const Panel& panel, int step) {
    const int32_t n_blocks = panel.args.w->cols / 32;
    return {panel.activations(int64_t{avx2::kBytesPer32} * n_blocks) +
                int64_t{step} * kPieces * panel.n_tokens * avx2::kBytesPer32,
            panel.n_tokens};
  }

  template <int part, typename Tiles>
  static LECTERN_ALWAYS_INLINE void multiply(Tiles& tiles, const Work<BlocksKernel>& work) {
    if (2 * part < work.weights->n) block<0>(tiles, work, 2 * part);
    if (2 * part + 1 < work.weights->n) block<1>(tiles, work, 2 * part + 1);
  }

  static LECTERN_ALWAYS_INLINE void scale(const Work<BlocksKernel>& work, int begin, int end, float* totals) {
    if (work.weights->n == kPieces)
      return scale_blocks(work, begin, end, kPieces, totals);  // a number it knows
    scale_blocks(work, begin, end, work.weights->n, totals);
  }

 private:
  static LECTERN_ALWAYS_INLINE void scale_blocks(const Work<BlocksKernel>& work, int begin, int end, int n,
                                                 float* totals) {
    const Weights& w = *work.weights;
    const avx2::Activations32 first = work.x.block(0);
    const int64_t apart = int64_t{work.x.n_tokens} * avx2::kBytesPer32;
    for (int t = begin; t < end; ++t) {
      __m512 total[V];
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) total[v] = _mm512_load_ps(totals + (t * V + v) * kRows);
      for (int b = 0; b < n; ++b) {
        const int64_t at = b * apart + (work.token + t) * 4;
        const __m512 x_scale = avx512vnni::broadcast_float(first.scales + at);
        LECTERN_UNROLL
        for (int v = 0; v < V; ++v) {
          const __m512 sum = _mm512_cvtepi32_ps(work.sums->of(b * V + v, t));
          total[v] = _mm512_fmadd_ps(sum, _mm512_mul_ps(w.scale[b][v], x_scale), total[v]);
          if constexpr (F::kMinimum) {
            const __m512i negated_sum = avx512vnni::broadcast4(first.negated_sums + at);
            const __m512 x_sum = _mm512_mul_ps(x_scale, _mm512_cvtepi32_ps(negated_sum));
            total[v] = _mm512_fnmadd_ps(w.minimum[b][v], x_sum, total[v]);
          }
        }
      }
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) _mm512_store_ps(totals + (t * V + v) * kRows, total[v]);
    }
  }

  // Products of block b; two neighbours use different tiles.
  template <int slot, typename Tiles>
  static LECTERN_ALWAYS_INLINE void block(Tiles& tiles, const Work<BlocksKernel>& work, int b) {
    tiles.template load<kTokenTile + slot>(work.x.block(b).quants + work.token * 32, 32);
    pair<slot, 0>(tiles, work, b);
    if constexpr (V > 1) pair<slot, 1>(tiles, work, b);
  }
  template <int slot, int v, typename Tiles>
  static LECTERN_ALWAYS_INLINE void pair(Tiles& tiles, const Work<BlocksKernel>& work, int b) {
    constexpr int kSum = slot * V + v, kWeights = kWeightTile + v;
    tiles.template zero<kSum>();
    tiles.template load<kWeights>(work.weights->strips[b][v], 64);
    tiles.template add_signed_products<kSum, kTokenTile + slot, kWeights>();
    tiles.template store<kSum>(work.sums->tiles[b * V + v], 64);
  }
};

template <typename F, typename Tiles>
void multiply_blocks(const MatmulArgs& args) {
  avx512vnni::for_panels<PanelKernel<BlocksKernel, F, Tiles>>(args);
}

template <typename Tiles>
void matmul_blocks_with(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ8_0:
      return multiply_blocks<avx2::Q8_0, Tiles>(args);
    case DType::kQ4_0:
      return multiply_blocks<avx2::Q4_0, Tiles>(args);
    case DType::kQ4_1:
      return multiply_blocks<avx2::Q4_1, Tiles>(args);
    case DType::kQ5_0:
      return multiply_blocks<avx2::Q5_0, Tiles>(args);
    case DType::kQ5_1:
      return multiply_blocks<avx2::Q5_1, Tiles>(args);
    case DType::kIQ4_NL:
      return multiply_blocks<avx2::IQ4_NL, Tiles>(args);
    default:
      return multiply_blocks<avx2::IQ4_XS, Tiles>(args);
  }
}

}  // namespace
}  // namespace lectern::amx
