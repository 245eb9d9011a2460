// What one core of this machine can do at most, measured in the same run as the kernels, so that a figure can
// be given as a share of it. Measured once, on first use.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lectern::bench {

struct Limits {
  double int8_ops;    // a second: products of bytes in registers (kernels/cpu/machine_limits.h)
  double float_ops;   // a second: fused multiply-adds on registers, 16 operations each
  double read_bytes;  // a second, from memory that no cache holds
};

const Limits& limits();

// The loops themselves (limits_avx2.cc). Each returns something, so that it cannot be left out.
float float_loop(int64_t n);                        // n * 10 * 16 operations
int32_t read_loop(const void* data, size_t bytes);  // bytes: a multiple of 256

// The CPU time of this thread in seconds: other programs' turns on the core do not count.
double thread_seconds();

}  // namespace lectern::bench
