// Small vector helpers of the AVX2 files. Only for files compiled with lectern_isa_source: everything has
// internal linkage.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace lectern::avx2 {
namespace {

#define LECTERN_ALWAYS_INLINE inline __attribute__((always_inline))
// Before a loop whose bounds are known to the compiler: arrays of registers only become registers when every
// loop over them is unrolled.
#if defined(__clang__)
#define LECTERN_UNROLL _Pragma("unroll")
#else
#define LECTERN_UNROLL _Pragma("GCC unroll 16")
#endif

LECTERN_ALWAYS_INLINE __m256i load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
LECTERN_ALWAYS_INLINE void store(void* p, __m256i v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}
LECTERN_ALWAYS_INLINE __m128i load16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
LECTERN_ALWAYS_INLINE __m256 load_halves(const void* p) {
  return _mm256_cvtph_ps(load16(p));
}

// Four bytes at p in every 32-bit lane.
LECTERN_ALWAYS_INLINE __m256i broadcast4(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm256_set1_epi32(word);
}

// Keeps the compiler from reordering a chain of integer additions: it would compute all products first and
// spill them.
LECTERN_ALWAYS_INLINE void keep_order(__m256i& v) {
  asm("" : "+x"(v));
}

// The lanes [0, n) of a float vector: for the ends of arrays, n < 8.
LECTERN_ALWAYS_INLINE __m256i lanes_below(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

LECTERN_ALWAYS_INLINE float sum_of(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

LECTERN_ALWAYS_INLINE float max_of(__m256 v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

// e^x to within 2 units in the last place; 0 below -87.3 (and for -infinity), finite above 88.
// x = n ln 2 + r with |r| <= ln 2 / 2, and a polynomial of degree 6 for e^r.
LECTERN_ALWAYS_INLINE __m256 exp(__m256 x) {
  const __m256 too_small = _mm256_cmp_ps(x, _mm256_set1_ps(-87.3f), _CMP_LT_OQ);
  x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(88.0f)), _mm256_set1_ps(-87.3f));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts, so that x - n ln 2 is exact where it cancels
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.0f / 720.0f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(too_small, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

// ln of a positive normal float, to within a few units of the last place: called once a softmax.
LECTERN_ALWAYS_INLINE float log_of(float x) {
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  // x = 2^exponent * mantissa with mantissa in [sqrt(1/2), sqrt(2))
  const int32_t exponent = (bits - 0x3f3504f3) >> 23;
  bits -= exponent << 23;
  float mantissa;
  __builtin_memcpy(&mantissa, &bits, sizeof(mantissa));
  // ln(mantissa) = 2 artanh(s), |s| <= 0.172
  const float s = (mantissa - 1.0f) / (mantissa + 1.0f), s2 = s * s;
  const float series = 1.0f + s2 * (1.0f / 3 + s2 * (1.0f / 5 + s2 * (1.0f / 7 + s2 * (1.0f / 9))));
  return static_cast<float>(exponent) * 0.693147181f + 2.0f * s * series;
}

}  // namespace
}  // namespace lectern::avx2
