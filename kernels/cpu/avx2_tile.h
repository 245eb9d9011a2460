// The integer heart of the AVX2 matmuls: 32 columns of R row tiles times T tokens. Only for ISA files.
//
// A product of an unsigned quant of at most 6 bits and a signed byte is short enough that several pair sums
// of vpmaddubsw fit in 16 bits before they must be widened:
//   4 bits: 2 * 15 * 127 =  3,810 a pair sum, 8 of them 30,480 < 32,768
//   5 bits: 2 * 31 * 127 =  7,874, 4 of them 31,496        6 bits: 2 * 63 * 127 = 16,002, 2 of them 32,004
// With 4 columns of 8 rows in a vector, a tile block of 4-bit weights takes 8 vpmaddubsw and one vpmaddwd,
// and the vpmaddwd multiplies by the block's integer scale on the way.
#pragma once

#include "kernels/cpu/avx2_layout.h"
#include "kernels/cpu/avx2_math.h"

namespace lectern::avx2 {
namespace {

// The planes of a format (avx2_layout.h) and what follows from them.
template <bool nibbles, int high_bits>
struct Planes {
  static constexpr bool kNibbles = nibbles;
  static constexpr int kHighBits = high_bits;  // bits above the nibbles, or all of them
  static constexpr int kBits = (nibbles ? 4 : 0) + high_bits;
  static constexpr int kBytes =
      (nibbles ? kNibblePlane : 0) + (high_bits >= 2 ? kTwoBitPlane : 0) + high_bits % 2 * kOneBitPlane;
  // vpmaddubsw results that may be added in 16 bits
  static constexpr int kSteps = kBits <= 4 ? 8 : kBits == 5 ? 4 : 2;
};

// Moves bit `from` of every byte to bit `to`, its neighbours with it; the caller masks.
template <int from, int to>
LECTERN_ALWAYS_INLINE __m256i move_bits(__m256i v) {
  if constexpr (from < to) return _mm256_slli_epi16(v, to - from);
  if constexpr (from > to) return _mm256_srli_epi16(v, from - to);
  return v;
}

template <int i, typename P>
LECTERN_ALWAYS_INLINE __m256i unpack_vector(const uint8_t* planes) {
  constexpr int kLow = P::kNibbles ? 4 : 0;
  __m256i w = _mm256_setzero_si256();
  if constexpr (P::kNibbles) {
    w = _mm256_and_si256(move_bits<(i < 4 ? 0 : 4), 0>(load(planes + i % 4 * 32)), _mm256_set1_epi8(15));
    planes += kNibblePlane;
  }
  if constexpr (P::kHighBits >= 2) {
    const __m256i bits = move_bits<i % 4 * 2, kLow>(load(planes + i / 4 * 32));
    w = _mm256_or_si256(w, _mm256_and_si256(bits, _mm256_set1_epi8(3 << kLow)));
    planes += kTwoBitPlane;
  }
  if constexpr (P::kHighBits % 2 == 1) {
    constexpr int kTop = P::kBits - 1;
    const __m256i bits = move_bits<i, kTop>(load(planes));
    w = _mm256_or_si256(w, _mm256_and_si256(bits, _mm256_set1_epi8(1 << kTop)));
  }
  return w;
}

// The 8 vectors of a tile block, `stride` bytes apart in `strip`.
template <typename P, int stride>
LECTERN_ALWAYS_INLINE void unpack(const uint8_t* planes, uint8_t* strip) {
  store(strip + 0 * stride, unpack_vector<0, P>(planes));
  store(strip + 1 * stride, unpack_vector<1, P>(planes));
  store(strip + 2 * stride, unpack_vector<2, P>(planes));
  store(strip + 3 * stride, unpack_vector<3, P>(planes));
  store(strip + 4 * stride, unpack_vector<4, P>(planes));
  store(strip + 5 * stride, unpack_vector<5, P>(planes));
  store(strip + 6 * stride, unpack_vector<6, P>(planes));
  store(strip + 7 * stride, unpack_vector<7, P>(planes));
}

// sums[t][r] += 8 rows x 32 columns of row tile r times token t.
// strip: [8 vectors][R][32 bytes]; q: token t's 32 bytes at q + t * q_stride; scales: [kScales][R] vectors of
// 16-bit factors, the first for columns 0..15 and the second for 16..31 where there are two.
template <int T, int R, int kSteps, int kScales>
LECTERN_ALWAYS_INLINE void dot_block(const uint8_t* strip, const uint8_t* q, int64_t q_stride,
                                     const __m256i* scales, __m256i sums[T][R]) {
#pragma GCC unroll 4
  for (int step = 0; step < 8; step += kSteps) {
    __m256i narrow[T][R];
#pragma GCC unroll 8
    for (int i = step; i < step + kSteps; ++i) {
      __m256i w[R];
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r) w[r] = load(strip + (i * R + r) * 32);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256i a = broadcast4(q + t * q_stride + i * 4);
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) {
          const __m256i products = _mm256_maddubs_epi16(w[r], a);
          narrow[t][r] = i == step ? products : _mm256_add_epi16(narrow[t][r], products);
          keep_order(narrow[t][r]);
        }
      }
    }
    const __m256i* factors = scales + step * kScales / 8 * R;
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r) {
        sums[t][r] = _mm256_add_epi32(sums[t][r], _mm256_madd_epi16(narrow[t][r], factors[r]));
        keep_order(sums[t][r]);
      }
    }
  }
}

// Adds the finished sums of a tile of tokens to y, with the bias: totals[m][R * 8].
template <int R>
void write_out(const MatmulArgs& args, int32_t token, int32_t row, int m, const float* totals) {
  for (int t = 0; t < m; ++t) {
    float* y = args.y + (token + t) * args.y_stride + row;
    const float* total = totals + t * R * 8;
    if (row + R * 8 <= args.w->rows) {
      for (int r = 0; r < R * 8; r += 8) {
        __m256 sum = _mm256_loadu_ps(total + r);
        if (args.bias != nullptr) sum = _mm256_add_ps(sum, _mm256_loadu_ps(args.bias + row + r));
        if (args.accumulate) sum = _mm256_add_ps(sum, _mm256_loadu_ps(y + r));
        _mm256_storeu_ps(y + r, sum);
      }
    } else {
      for (int r = 0; r < args.w->rows - row; ++r) {
        float sum = total[r];
        if (args.bias != nullptr) sum = sum + args.bias[row + r];
        y[r] = args.accumulate ? sum + y[r] : sum;
      }
    }
  }
}

}  // namespace
}  // namespace lectern::avx2
