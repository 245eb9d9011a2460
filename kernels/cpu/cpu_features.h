// What this processor can run, operating-system support included.
#pragma once

#include <cstdint>

namespace lectern {

enum CpuFeature : uint32_t {
  kFeatureAvx2 = 1u << 0,        // AVX2, FMA, F16C, BMI2
  kFeatureAvx512Vnni = 1u << 1,  // F, BW, DQ, VL, VNNI
};

uint32_t detect_cpu_features();

}  // namespace lectern
