#include "kernels/cpu/cpu_features.h"

namespace lectern {

uint32_t detect_cpu_features() {
  uint32_t features = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // The compiler's runtime checks the operating system's support (XCR0) as well.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
      __builtin_cpu_supports("bmi2")) {
    features |= kFeatureAvx2;
  }
  if ((features & kFeatureAvx2) != 0 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
    features |= kFeatureAvx512Vnni;
  }
#endif
  return features;
}

}  // namespace lectern
