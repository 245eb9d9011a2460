// Weights in blocks of 32 on the processor's tile unit.
#include "kernels/cpu/amx.h"
#include "kernels/cpu/amx_blocks.h"

namespace lectern::amx {

void matmul_blocks(const MatmulArgs& args) {
  matmul_blocks_with<HardwareTiles>(args);
}

}  // namespace lectern::amx
