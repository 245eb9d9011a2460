// The integer heart of the AVX-512 VNNI matmuls: 32 columns of 16 V rows times T tokens. Only for ISA files.
//
// Memory lies as for the AVX2 bundle (avx2_layout.h); two row tiles side by side make a vector of 16 rows,
// and one vpdpbusd adds 4 columns of them to 32-bit sums. It takes the weight unsigned, so that signed bytes
// carry an offset of 128 here. What is computed, and in which order, is what the AVX2 bundle computes: the
// results are the same bit for bit.
#pragma once

#include "kernels/cpu/avx2_tile.h"

namespace lectern::avx512vnni {
namespace {

using avx2::FromMemory;
using avx2::kHalves;

constexpr int kRows = 16;  // of a vector

LECTERN_ALWAYS_INLINE __m512i load(const void* p) {
  return _mm512_loadu_si512(p);
}
LECTERN_ALWAYS_INLINE __m512i broadcast4(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm512_set1_epi32(word);
}
LECTERN_ALWAYS_INLINE __m512 broadcast_float(const void* p) {
  return _mm512_castsi512_ps(broadcast4(p));
}
LECTERN_ALWAYS_INLINE void keep_order(__m512i& v) {
  asm("" : "+v"(v));
}

// Two row tiles, `apart` bytes from each other (0: the last tile of an odd number, twice).
struct TilePair {
  const uint8_t* first;
  size_t apart;

  LECTERN_ALWAYS_INLINE TilePair operator+(int64_t offset) const { return {first + offset, apart}; }
  LECTERN_ALWAYS_INLINE __m512i operator()(int offset) const {  // 32 bytes of each
    return _mm512_inserti64x4(_mm512_castsi256_si512(avx2::load(first + offset)),
                              avx2::load(first + apart + offset), 1);
  }
  LECTERN_ALWAYS_INLINE __m256i sixteen(int offset) const {  // 16 bytes of each
    return _mm256_inserti128_si256(_mm256_castsi128_si256(avx2::load16(first + offset)),
                                   avx2::load16(first + apart + offset), 1);
  }
  LECTERN_ALWAYS_INLINE __m128i eight(int offset) const {  // 8 bytes of each
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(first + offset));
    return _mm_castpd_si128(
        _mm_loadh_pd(_mm_castsi128_pd(low), reinterpret_cast<const double*>(first + apart + offset)));
  }
  LECTERN_ALWAYS_INLINE __m512 halves(int offset) const { return _mm512_cvtph_ps(sixteen(offset)); }

  template <int bytes>
  LECTERN_ALWAYS_INLINE void prefetch(int64_t ahead) const {
    avx2::prefetch<bytes>(first + ahead);
    avx2::prefetch<bytes>(first + apart + ahead);
  }
};

// Where the vectors of V pairs of tile blocks come from, unsigned.
template <int V>
struct FromStrip {
  const uint8_t* strip;  // [8 vectors][V][64 bytes]
  LECTERN_ALWAYS_INLINE __m512i vector(int i, int v) const { return load(strip + (i * V + v) * 64); }
};
template <typename P>
struct FromPlanes {
  TilePair planes;
  LECTERN_ALWAYS_INLINE __m512i vector(int i, int) const { return avx2::unpack_vector<P>(planes, i); }
};
struct FromBytes {
  TilePair planes;
  LECTERN_ALWAYS_INLINE __m512i vector(int i, int) const {
    return _mm512_xor_si512(planes(i * 32), _mm512_set1_epi8(-128));
  }
};
struct FromTable {
  TilePair planes;
  LECTERN_ALWAYS_INLINE __m512i vector(int i, int) const {
    const __m512i values = _mm512_broadcast_i32x4(avx2::load16(avx2::kIQ4Values));
    const __m512i biased = _mm512_xor_si512(values, _mm512_set1_epi8(-128));
    return _mm512_shuffle_epi8(biased, avx2::unpack_vector<avx2::Planes<true, 0>>(planes, i));
  }
};

template <int V, typename Source>
LECTERN_ALWAYS_INLINE void unpack(const Source& source, int v, uint8_t* strip) {
  LECTERN_UNROLL
  for (int i = 0; i < 8; ++i) _mm512_storeu_si512(strip + (i * V + v) * 64, source.vector(i, 0));
}

// sums[t][v] += vectors [begin, end) of 16 rows times token t; token t's 32 bytes at q + t * q_stride.
template <int T, int V, int begin, int end, typename Source>
LECTERN_ALWAYS_INLINE void dot_vectors(const Source& source, const uint8_t* q, int64_t q_stride,
                                       __m512i sums[T][V]) {
  LECTERN_UNROLL
  for (int i = begin; i < end; ++i) {
    __m512i w[V];
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) w[v] = source.vector(i, v);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      const __m512i a = broadcast4(q + t * q_stride + i * 4);
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) {
        sums[t][v] = _mm512_dpbusd_epi32(sums[t][v], w[v], a);
        keep_order(sums[t][v]);
      }
    }
  }
}

// -- the order of the work ----------------------------------------------------------------------------------

constexpr int kPanelTiles = 4;  // row tiles that are unpacked together for more

// Some row tiles of a matrix and some tokens that meet them.
struct Panel {
  const MatmulArgs& args;
  int32_t row, token;
  int n_tiles, n_tokens;

  // Pair v of the tiles, at its first block.
  TilePair pair(int v) const {
    const PackedMatrix& w = *args.w;
    const size_t tile = static_cast<size_t>(row / kRowTile) + static_cast<size_t>(2 * v);
    return {static_cast<const uint8_t*>(w.data) + tile * w.row_tile_bytes,
            2 * v + 1 < n_tiles ? w.row_tile_bytes : 0};
  }
  // The first block of the tokens' activations, `bytes` for every token.
  const uint8_t* activations(int64_t bytes) const {
    return static_cast<const uint8_t*>(args.x) + token * bytes;
  }
};

// Adds the finished sums of a panel to y, with the bias: totals[n_tokens][V * 16], of which those below
// row_end exist.
template <int V>
void write_out(const Panel& panel, const float* totals) {
  const MatmulArgs& args = panel.args;
  const int32_t end = args.row_end < args.w->rows ? args.row_end : args.w->rows;
  __mmask16 exist[V];
  __m512 bias[V];
  LECTERN_UNROLL
  for (int v = 0; v < V; ++v) {
    const int32_t left = end - panel.row - v * kRows;
    exist[v] = static_cast<__mmask16>(left >= kRows ? 0xffff : left > 0 ? (1 << left) - 1 : 0);
    bias[v] = args.bias == nullptr ? _mm512_setzero_ps()
                                   : _mm512_maskz_loadu_ps(exist[v], args.bias + panel.row + v * kRows);
  }
  float* y = args.y + panel.token * args.y_stride + panel.row;
  for (int t = 0; t < panel.n_tokens; ++t, totals += V * kRows, y += args.y_stride) {
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) {
      __m512 sum = _mm512_add_ps(_mm512_load_ps(totals + v * kRows), bias[v]);
      if (args.accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(exist[v], y + v * kRows));
      _mm512_mask_storeu_ps(y + v * kRows, exist[v], sum);
    }
  }
}

// Calls Kernel::many<V>(panel) with V pairs of row tiles for all of a product.
template <typename Kernel>
void for_panels(const MatmulArgs& args) {
  const int32_t tile = avx2::token_tile(args.w->cols);
  for (int32_t token = 0; token < args.n_tokens; token += tile) {
    const int m = args.n_tokens - token < tile ? args.n_tokens - token : tile;
    constexpr int32_t kStep = kPanelTiles * kRowTile;
    for (int32_t row = args.row_begin; row < args.row_end; row += kStep) {
      const int32_t rows = args.row_end - row < kStep ? args.row_end - row : kStep;
      const Panel panel = {args, row, token, (rows + kRowTile - 1) / kRowTile, m};
      panel.n_tiles > 2 ? Kernel::template many<2>(panel) : Kernel::template many<1>(panel);
    }
  }
}

}  // namespace
}  // namespace lectern::avx512vnni
