// The functions that the AVX-512 VNNI bundle has of its own; for the rest its table takes those of the AVX2
// bundle. Contracts as in kernel_table.h.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace lectern::avx512vnni {

void matmul(const MatmulArgs& args);               // of every format
void matmul_few(const MatmulArgs& args);           // quantised weights, at most kFewTokens tokens
void matmul_blocks(const MatmulArgs& args);        // weights in blocks of 32
void matmul_super_blocks(const MatmulArgs& args);  // weights in super-blocks of 256

size_t attention_scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens);
void attention(const AttentionArgs& args);

}  // namespace lectern::avx512vnni
