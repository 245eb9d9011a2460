// Threads of a block run in any order; emulated kernels are tested in two.
#pragma once

#include <cuda_runtime.h>

namespace lectern::test {

// Calls run() once; when emulated again, with the threads of each block in reverse order.
template <typename Run>
void in_both_orders(const Run& run) {
  run();
#ifdef LECTERN_CUDA_EMULATION
  struct Reversed {
    Reversed() { emulation::set_reverse_order(true); }
    ~Reversed() { emulation::set_reverse_order(false); }
  } reversed;
  run();
#endif
}

}  // namespace lectern::test
