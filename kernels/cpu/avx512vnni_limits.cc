// The AVX-512 VNNI loops behind machine_limits.h.
#include <immintrin.h>

#include "kernels/cpu/machine_limits.h"

namespace lectern {
namespace {

constexpr int kChains = 12;  // independent sums, enough to hide the latency of a product

uint64_t int8_products(uint64_t rounds) {
  __m512i sums[kChains];
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_setzero_si512();
  for (uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
      __asm__ volatile("" : "+v"(sums[i]));  // every sum is wanted
    }
  }
  return rounds * kChains * 64 * 2;
}

uint64_t float_products(uint64_t rounds) {
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  __m512 sums[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_setzero_ps();
  for (uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      sums[i] = _mm512_fmadd_ps(a, b, sums[i]);
      __asm__ volatile("" : "+v"(sums[i]));
    }
  }
  return rounds * kChains * 16 * 2;
}

uint64_t read(const void* data, size_t n) {
  constexpr int kVectors = 4;
  __m512i sums[kVectors];
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) sums[i] = _mm512_setzero_si512();
  const auto* at = static_cast<const __m512i*>(data);
  for (const auto* end = at + n / 64; at < end; at += kVectors) {
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) sums[i] = _mm512_add_epi64(sums[i], _mm512_load_si512(at + i));
  }
  sums[0] = _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(sums[0]));
}

}  // namespace

extern const MachineLimits kAvx512VnniLimits;
constinit const MachineLimits kAvx512VnniLimits = {int8_products, float_products, read};

}  // namespace lectern
