// What one core of this machine can do at most (kernels/cpu/machine_limits.h), measured in the same run as
// the kernels, so that a figure can be given as a share of it. Measured once, on first use.
#pragma once

namespace lectern::bench {

struct Limits {
  double int8_ops;    // a second
  double float_ops;   // a second
  double read_bytes;  // a second, from memory that no cache holds
};

const Limits& limits();

}  // namespace lectern::bench
