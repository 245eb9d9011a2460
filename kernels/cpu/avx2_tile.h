// The integer heart of the AVX2 matmuls: 32 columns of R row tiles times T tokens. Only for ISA files.
//
// A product of an unsigned quant of at most 6 bits and a signed byte is short enough that several pair sums
// of vpmaddubsw fit in 16 bits before they must be widened:
//   4 bits: 2 * 15 * 127 =  3,810 a pair sum, 8 of them 30,480 < 32,768
//   5 bits: 2 * 31 * 127 =  7,874, 4 of them 31,496        6 bits: 2 * 63 * 127 = 16,002, 2 of them 32,004
// With 4 columns of 8 rows in a vector, a tile block of 4-bit weights takes 8 vpmaddubsw and one vpmaddwd,
// and the vpmaddwd multiplies by the block's integer scale on the way.
#pragma once

#include "kernels/cpu/avx2_math.h"
#include "kernels/cpu/avx2_planes.h"
#include "kernels/cpu/kernel_table.h"

namespace lectern::avx2 {
namespace {

// vpmaddubsw results of quants of so many bits that may be added in 16 bits.
constexpr int steps(int bits) {
  return bits <= 4 ? 8 : bits == 5 ? 4 : 2;
}

// Where the vectors of R tile blocks come from: unpacked for many tokens, or straight from their planes for
// few.
template <int R>
struct FromStrip {
  const uint8_t* strip;  // [8 vectors][R][32 bytes]
  LECTERN_ALWAYS_INLINE __m256i vector(int i, int r) const { return load(strip + (i * R + r) * 32); }
};
template <typename P>
struct FromPlanes {
  const uint8_t* planes;
  LECTERN_ALWAYS_INLINE __m256i vector(int i, int) const { return unpack_vector<P>(FromMemory{planes}, i); }
};

// Unpacks tile block r of R into a strip.
template <typename P, int R>
LECTERN_ALWAYS_INLINE void unpack(const uint8_t* planes, int r, uint8_t* strip) {
  LECTERN_UNROLL
  for (int i = 0; i < 8; ++i) store(strip + (i * R + r) * 32, unpack_vector<P>(FromMemory{planes}, i));
}

// sums[t][r] += 8 rows x 32 columns of row tile r times token t.
// q: token t's 32 bytes at q + t * q_stride; scales: [kScales][R] vectors of 16-bit factors, the first for
// columns 0..15 and the second for 16..31 where there are two.
template <int T, int R, int kSteps, int kScales, typename Source>
LECTERN_ALWAYS_INLINE void dot_block(const Source& source, const uint8_t* q, int64_t q_stride,
                                     const __m256i* scales, __m256i sums[T][R]) {
  LECTERN_UNROLL
  for (int step = 0; step < 8; step += kSteps) {
    __m256i narrow[T][R];
    LECTERN_UNROLL
    for (int i = step; i < step + kSteps; ++i) {
      __m256i w[R];
      LECTERN_UNROLL
      for (int r = 0; r < R; ++r) w[r] = source.vector(i, r);
      LECTERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const __m256i a = broadcast4(q + t * q_stride + i * 4);
        LECTERN_UNROLL
        for (int r = 0; r < R; ++r) {
          const __m256i products = _mm256_maddubs_epi16(w[r], a);
          narrow[t][r] = i == step ? products : _mm256_add_epi16(narrow[t][r], products);
          keep_order(narrow[t][r]);
        }
      }
    }
    const __m256i* factors = scales + step * kScales / 8 * R;
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      LECTERN_UNROLL
      for (int r = 0; r < R; ++r) {
        sums[t][r] = _mm256_add_epi32(sums[t][r], _mm256_madd_epi16(narrow[t][r], factors[r]));
        keep_order(sums[t][r]);
      }
    }
  }
}

// Weights stream past once; asking for them early hides the memory behind the arithmetic. Bytes ahead: one or
// two tokens are done with a line in a few cycles, many tokens take long over it.
constexpr int64_t kFarAhead = 8192;
constexpr int64_t kAhead = 2048;

template <int bytes>
LECTERN_ALWAYS_INLINE void prefetch(const uint8_t* p) {
  LECTERN_UNROLL
  for (int i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(p + i), _MM_HINT_T0);
}

// Asks for the places in y where write_out will put n_rows sums of each of m tokens: they lie far apart, so
// step `step` of `n_steps` asks for its share of them.
template <int n_rows>
LECTERN_ALWAYS_INLINE void prefetch_outputs(const MatmulArgs& args, int32_t token, int32_t row, int m,
                                            int32_t step, int32_t n_steps) {
  for (int32_t t = m * step / n_steps; t < m * (step + 1) / n_steps; ++t) {
    prefetch<n_rows * 4>(reinterpret_cast<const uint8_t*>(args.y + (token + t) * args.y_stride + row));
  }
}

// Adds the finished sums of a tile of tokens to y, with the bias: totals[m][n_rows], of which those below
// row_end exist.
template <int n_rows>
void write_out(const MatmulArgs& args, int32_t token, int32_t row, int m, const float* totals) {
  const int32_t left = (args.row_end < args.w->rows ? args.row_end : args.w->rows) - row;
  for (int t = 0; t < m; ++t, totals += n_rows) {
    float* y = args.y + (token + t) * args.y_stride + row;
    int32_t r = 0;
    for (; r + 8 <= n_rows && r + 8 <= left; r += 8) {
      __m256 sum = _mm256_loadu_ps(totals + r);
      if (args.bias != nullptr) sum = _mm256_add_ps(sum, _mm256_loadu_ps(args.bias + row + r));
      if (args.accumulate) sum = _mm256_add_ps(sum, _mm256_loadu_ps(y + r));
      _mm256_storeu_ps(y + r, sum);
    }
    for (; r < n_rows && r < left; ++r) {
      float sum = totals[r];
      if (args.bias != nullptr) sum = sum + args.bias[row + r];
      y[r] = args.accumulate ? sum + y[r] : sum;
    }
  }
}

// Goes over all of a product: Kernel::few<T>(args, row, token) for one row tile times T tokens, at most
// kFewTokens, and Kernel::many<R>(args, row, token, m) for R row tiles times m tokens.
template <typename Kernel>
void for_row_tiles(const MatmulArgs& args) {
  static_assert(kFewTokens == 4);
  const int tile = token_tile(args.w->cols);
  for (int32_t token = 0; token < args.n_tokens; token += tile) {
    const int m = args.n_tokens - token < tile ? args.n_tokens - token : tile;
    int32_t row = args.row_begin;
    if (m <= kFewTokens) {
      for (; row < args.row_end; row += kRowTile) {
        if (m == 1) Kernel::template few<1>(args, row, token);
        if (m == 2) Kernel::template few<2>(args, row, token);
        if (m == 3) Kernel::template few<3>(args, row, token);
        if (m == 4) Kernel::template few<4>(args, row, token);
      }
      continue;
    }
    for (; row + kRowTile < args.row_end; row += 2 * kRowTile) Kernel::template many<2>(args, row, token, m);
    if (row < args.row_end) Kernel::template many<1>(args, row, token, m);
  }
}

}  // namespace
}  // namespace lectern::avx2
