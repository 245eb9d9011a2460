// What one thread of this processor can do at most: loops that do nothing but the work in question, to state
// measured speeds as shares of. The caller runs them on as many threads as it wants and takes the time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lectern {

struct MachineLimits {
  // Integer operations (a multiplication and an addition count as two) of products of 8-bit numbers, summed
  // in 16 bits, all operands in registers: no kernel can do more. Runs `rounds` rounds; returns how many.
  uint64_t (*int8_products)(uint64_t rounds);
  // Multiplications and additions of floats, each pair one fused instruction where there is one, as above.
  uint64_t (*float_products)(uint64_t rounds);
  // Reads n bytes (a multiple of 256) from memory aligned to 64 bytes; returns their sum, in some form.
  uint64_t (*read)(const void* data, size_t n);
};

// With the widest instructions that this processor runs and Lectern has kernels for.
const MachineLimits& machine_limits();

}  // namespace lectern
