// The functions that the AMX bundle has of its own; for the rest its table takes those of the AVX2 and
// AVX-512 VNNI bundles. Contracts as in kernel_table.h.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace lectern::amx {

void matmul(const MatmulArgs& args);               // of every format
void matmul_blocks(const MatmulArgs& args);        // weights in blocks of 32
void matmul_super_blocks(const MatmulArgs& args);  // weights in super-blocks of 256

// The integer loop behind machine_limits.h.
uint64_t int8_products(uint64_t rounds);

}  // namespace lectern::amx
