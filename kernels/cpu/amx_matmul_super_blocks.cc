// Weights in super-blocks of 256 on the processor's tile unit.
#include "kernels/cpu/amx.h"
#include "kernels/cpu/amx_super_blocks.h"

namespace lectern::amx {

void matmul_super_blocks(const MatmulArgs& args) {
  matmul_super_blocks_with<HardwareTiles>(args);
}

}  // namespace lectern::amx
