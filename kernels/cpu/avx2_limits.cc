// The AVX2 loops behind machine_limits.h.
#include <immintrin.h>

#include "kernels/cpu/machine_limits.h"

namespace lectern {
namespace {

// Independent sums, enough to hide the latency of an addition. Every loop over them is unrolled, the first
// too: only then are they registers and not an array in memory.
constexpr int kChains = 8;

// Keeps the compiler from computing a loop's constant products once.
inline __attribute__((always_inline)) void change(__m256i& v) {
  __asm__ volatile("" : "+x"(v));
}

uint64_t int8_products(uint64_t rounds) {
  __m256i sums[kChains], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
#pragma GCC unroll 8
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_setzero_si256();
  for (uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < kChains; ++i) {
      change(b);
      sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(a, b));
      change(sums[i]);
    }
  }
  return rounds * kChains * 32 * 2;
}

uint64_t float_products(uint64_t rounds) {
  constexpr int kFloatChains = 10;  // a fused multiply-add takes longer than an addition of integers
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  __m256 sums[kFloatChains];
#pragma GCC unroll 10
  for (int i = 0; i < kFloatChains; ++i) sums[i] = _mm256_setzero_ps();
  for (uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 10
    for (int i = 0; i < kFloatChains; ++i) {
      sums[i] = _mm256_fmadd_ps(a, b, sums[i]);
      __asm__ volatile("" : "+x"(sums[i]));
    }
  }
  return rounds * kFloatChains * 8 * 2;
}

uint64_t read(const void* data, size_t n) {
  __m256i sums[kChains];
#pragma GCC unroll 8
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_setzero_si256();
  const auto* at = static_cast<const __m256i*>(data);
  for (const auto* end = at + n / 32; at < end; at += kChains) {
#pragma GCC unroll 8
    for (int i = 0; i < kChains; ++i) sums[i] = _mm256_add_epi64(sums[i], _mm256_load_si256(at + i));
  }
  uint64_t total = 0;
  for (int i = 0; i < kChains; ++i) {
    total += static_cast<uint64_t>(_mm256_extract_epi64(sums[i], 0) + _mm256_extract_epi64(sums[i], 1) +
                                   _mm256_extract_epi64(sums[i], 2) + _mm256_extract_epi64(sums[i], 3));
  }
  return total;
}

}  // namespace

extern const MachineLimits kAvx2Limits;
constinit const MachineLimits kAvx2Limits = {int8_products, float_products, read};

}  // namespace lectern
