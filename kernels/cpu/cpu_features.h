// What this processor can run, operating-system support included.
#pragma once

#include <cstdint>

namespace lectern {

enum CpuFeature : uint32_t {
  kFeatureAvx2 = 1u << 0,        // AVX2, FMA, F16C, BMI2
  kFeatureAvx512Vnni = 1u << 1,  // F, BW, DQ, VL, VNNI
  kFeatureAmx = 1u << 2,         // AMX-TILE, AMX-INT8, and the kernel's leave to use them
};

// Where the processor has AMX, this asks Linux to let this process use it, once and for all threads: a tile's
// state is large, and processes have none by default. What needs AMX must not run before.
uint32_t detect_cpu_features();

}  // namespace lectern
