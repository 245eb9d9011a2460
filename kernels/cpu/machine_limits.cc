#include "kernels/cpu/machine_limits.h"

#include <cstring>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/cpu_features.h"

namespace lectern {

#ifdef LECTERN_X86_BUNDLES
extern const MachineLimits kAvx2Limits, kAvx512VnniLimits;
#endif

namespace {

uint64_t int8_products(uint64_t rounds) {
  constexpr int kNumbers = 256;
  int8_t a[kNumbers], b[kNumbers];
  for (int i = 0; i < kNumbers; ++i) {
    a[i] = static_cast<int8_t>(i % 16);
    b[i] = static_cast<int8_t>(i % 7);
  }
  int16_t sums[8] = {};
  for (uint64_t r = 0; r < rounds; ++r) {
    __asm__ volatile("" : : "r"(a), "r"(b) : "memory");  // the numbers may have changed, as far as it knows
    for (int i = 0; i < kNumbers; ++i) sums[i % 8] = static_cast<int16_t>(sums[i % 8] + a[i] * b[i]);
  }
  __asm__ volatile("" : : "r"(sums) : "memory");
  return rounds * 2 * kNumbers;
}

uint64_t float_products(uint64_t rounds) {
  constexpr int kNumbers = 64;
  float sums[kNumbers] = {};
  for (uint64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kNumbers; ++i) sums[i] = sums[i] * 0.5f + 0.25f;
    __asm__ volatile("" : : "r"(sums) : "memory");
  }
  return rounds * 2 * kNumbers;
}

uint64_t read(const void* data, size_t n) {
  uint64_t sums[4] = {};
  for (size_t i = 0; i < n; i += 32) {
    uint64_t words[4];
    std::memcpy(words, static_cast<const char*>(data) + i, 32);
    for (int k = 0; k < 4; ++k) sums[k] += words[k];
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

constexpr MachineLimits kGenericLimits = {int8_products, float_products, read};

}  // namespace

const MachineLimits& machine_limits() {
#ifdef LECTERN_X86_BUNDLES
  static const MachineLimits amx_limits = {amx::int8_products, kAvx512VnniLimits.float_products,
                                           kAvx512VnniLimits.read};
  if ((detect_cpu_features() & kFeatureAmx) != 0) return amx_limits;
  if ((detect_cpu_features() & kFeatureAvx512Vnni) != 0) return kAvx512VnniLimits;
  if ((detect_cpu_features() & kFeatureAvx2) != 0) return kAvx2Limits;
#endif
  return kGenericLimits;
}

}  // namespace lectern
