#include <immintrin.h>

#include "tests/bench/limits.h"

namespace lectern::bench {

float float_loop(int64_t n) {
  __m256 x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(0.25f);
  __m256 sums[10];
#pragma GCC unroll 10
  for (int k = 0; k < 10; ++k) sums[k] = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 10
    for (int k = 0; k < 10; ++k) {
      sums[k] = _mm256_fmadd_ps(x, y, sums[k]);
      asm("" : "+x"(sums[k]));
    }
  }
  __m256 total = sums[0];
#pragma GCC unroll 10
  for (int i = 1; i < 10; ++i) total = _mm256_add_ps(total, sums[i]);
  return _mm256_cvtss_f32(total);
}

int32_t read_loop(const void* data, size_t bytes) {
  const auto* p = static_cast<const __m256i*>(data);
  __m256i sums[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) sums[k] = _mm256_setzero_si256();
  for (size_t i = 0; i < bytes / 32; i += 8) {
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; ++k) sums[k % 4] = _mm256_xor_si256(sums[k % 4], _mm256_load_si256(p + i + k));
  }
  return _mm256_extract_epi32(
      _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3])), 0);
}

}  // namespace lectern::bench
