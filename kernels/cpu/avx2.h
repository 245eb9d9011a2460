// The functions of the AVX2 bundle across its files; avx2.cc puts them into the table. Contracts as in
// kernel_table.h.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace lectern::avx2 {

size_t row_tile_bytes(DType dtype, int32_t cols);
void pack(DType dtype, const void* src, int32_t rows, int32_t cols, int32_t tile_begin, int32_t tile_end,
          void* dst);

size_t activation_bytes(DType dtype, int32_t n_tokens, int32_t cols);
void quantize(DType dtype, const float* x, int64_t x_stride, int32_t n_tokens, int32_t cols,
              int32_t token_begin, int32_t token_end, void* dst);
int32_t activation_format(DType dtype);

void matmul(const MatmulArgs& args);
void matmul_blocks(const MatmulArgs& args);        // weights in blocks of 32
void matmul_super_blocks(const MatmulArgs& args);  // weights in super-blocks of 256
void matmul_float(const MatmulArgs& args);

size_t attention_scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens);
void attention(const AttentionArgs& args);
void page_mean(const void* page, KvType type, int32_t page_tokens, int32_t head_dim, float* mean);
void dots(const float* x, const float* rows, int32_t n_rows, int32_t n, float* out);

void rmsnorm(const float* x, const float* weight, int32_t n, float eps, float* out);
void rope(float* x, const float* cos_sin, int32_t n_heads, int32_t head_dim);
void silu_mul(float* gate, const float* up, int64_t n);
void add(float* x, const float* y, int64_t n);
void add_scaled(float* x, const float* y, float scale, int64_t n);
void to_half(const float* x, int64_t n, uint16_t* out);
void to_int8(const float* x, int64_t n, int8_t* out, float* scale);
float softmax(float* x, int64_t n);

}  // namespace lectern::avx2
