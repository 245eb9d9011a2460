// The AMX kernels on a tile unit in plain C++ (amx_emulation.cc), for processors without AMX.
#pragma once

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace lectern::emulated_amx {

// As the AMX bundle's, of any number of tokens. The processor must run the avx512vnni bundle.
void matmul_blocks(const MatmulArgs& args);
void matmul_super_blocks(const MatmulArgs& args);

// The first thing since the last call that a processor would have refused (#UD, #GP), or null.
const char* take_violation();
// Products of tiles so far.
uint64_t n_products();

// A product by itself: c[rows][columns] of 32-bit sums from a[rows][4 depth] and b[depth][4 columns], all of
// them contiguous; `lies` makes the configuration of b wrong.
void product(int rows, int columns, int depth, bool is_signed, bool lies, const int8_t* a, const uint8_t* b,
             int32_t* c);

}  // namespace lectern::emulated_amx
