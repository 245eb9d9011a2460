// The CPU kernels as a table of functions, one static table an ISA bundle (generic, avx2, ...), chosen once
// at start (dispatch.h). Kernels take raw pointers, allocate nothing and cannot fail: shapes were checked by
// engine/cpu_backend. Every function may run on several threads at once on disjoint outputs.
//
// Row-major throughout; `[a, b]` in a comment is the shape, last index contiguous.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/types.h"

namespace lectern {

// A weight matrix W[rows, cols] in the layout that a bundle's `pack` wrote. The layout is the bundle's own
// secret; row tiles of kRowTile rows are contiguous and `row_tile_bytes` long, so threads can share out the
// rows.
inline constexpr int kRowTile = 8;
struct PackedMatrix {
  const void* data;
  DType dtype;  // format in the model file
  int32_t rows;
  int32_t cols;
  size_t row_tile_bytes;
};

// y[t, r] (+)= sum_c x[t, c] * W[r, c] + bias[r]   for t in [0, n_tokens), r in [row_begin, row_end)
struct MatmulArgs {
  const PackedMatrix* w;
  const void* x;  // activations of n_tokens rows, as `quantize` wrote them for w->dtype
  int32_t n_tokens;
  int32_t row_begin;  // multiple of kRowTile
  int32_t row_end;    // multiple of kRowTile, or rows
  const float* bias;  // [rows], or null
  float* y;           // [n_tokens, y_stride], indexed by absolute row
  int64_t y_stride;
  bool accumulate;  // add to y instead of overwriting it (the residual stream)
};

// Causal attention of the query heads that share one KV head, over a paged cache:
//   out[i, g, :] = softmax_j<=first_position+i( scale * q[i, g, :] . k_j ) . v_j
// QK is accumulated in fp32: Qwen2's key biases overflow fp16 sums.
//
// Dual Chunk Attention reads old keys with queries that are rotated otherwise: the pages from intra_page on
// with q, those from succ_page to there with q_succ, and those before with q_inter. Elsewhere both are 0.
struct AttentionArgs {
  const float* q;  // query i, head g of the group at q + i*q_stride + g*head_dim; already rotated
  int64_t q_stride;
  int32_t n_queries;
  int32_t group;  // query heads per KV head
  int32_t head_dim;
  const void* const* k_pages;  // page p holds keys [p*page_tokens, ...) of this KV head, as KvType says
  const void* const* v_pages;
  KvType k_type, v_type;
  int32_t page_tokens;
  int32_t first_position;  // position of query 0; its key is already in the cache
  float scale;
  float* out;  // laid out like q, with out_stride
  int64_t out_stride;
  void* scratch;  // attention_scratch_bytes(...), 64-byte aligned, one per worker
  int32_t succ_page, intra_page;
  const float *q_succ, *q_inter;  // laid out like q; null where there are no such pages
  const int32_t* pages;           // only these n_pages are read, in ascending order; null: all
  int32_t n_pages;
  float*
      log_sum_exp;  // [n_queries, group]: log(sum_j exp(score_j)) over the keys that were read; may be null
};

struct KernelTable {
  const char* name;
  uint32_t required_features;  // bits of cpu_features.h
  // Whose results this bundle's equal bit for bit; other names round differently.
  const char* numerics;

  // Weights. row_tile_bytes is a multiple of 64. `pack` writes the row tiles [tile_begin, tile_end) of a
  // matrix of `rows` rows; src and dst (64-byte aligned, row_tile_bytes a tile) are the starts of the whole
  // matrices. Missing rows of the last tile read as zero.
  size_t (*row_tile_bytes)(DType dtype, int32_t cols);
  void (*pack)(DType dtype, const void* src, int32_t rows, int32_t cols, int32_t tile_begin, int32_t tile_end,
               void* dst);

  // Activations x[n_tokens, cols] float -> whatever `matmul` reads for weights of `dtype`; dst 64-byte
  // aligned. Rows are independent, so threads may share out the tokens [token_begin, token_end); x and dst
  // are the starts of the whole batch.
  size_t (*activation_bytes)(DType dtype, int32_t n_tokens, int32_t cols);
  void (*quantize)(DType dtype, const float* x, int64_t x_stride, int32_t n_tokens, int32_t cols,
                   int32_t token_begin, int32_t token_end, void* dst);
  // Weight formats that read the same activations have the same key, so the engine quantises once for them.
  int32_t (*activation_format)(DType dtype);

  void (*matmul)(const MatmulArgs& args);

  size_t (*attention_scratch_bytes)(int32_t group, int32_t head_dim, int32_t page_tokens);
  void (*attention)(const AttentionArgs& args);
  // The mean [head_dim] of all page_tokens keys of a page.
  void (*page_mean)(const void* page, KvType type, int32_t page_tokens, int32_t head_dim, float* mean);
  // out[r] = x . rows[r] for rows[n_rows, n]
  void (*dots)(const float* x, const float* rows, int32_t n_rows, int32_t n, float* out);

  // out[c] = x[c] / sqrt(mean(x^2) + eps) * weight[c]
  void (*rmsnorm)(const float* x, const float* weight, int32_t n, float eps, float* out);
  // Rotates n_heads heads of head_dim in place, halves paired (i, i + head_dim/2); cos_sin: [head_dim/2] cos,
  // then sin.
  void (*rope)(float* x, const float* cos_sin, int32_t n_heads, int32_t head_dim);
  // gate[i] = silu(gate[i]) * up[i]
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  void (*add)(float* x, const float* y, int64_t n);                      // x += y
  void (*add_scaled)(float* x, const float* y, float scale, int64_t n);  // x += scale*y
  void (*to_half)(const float* x, int64_t n, uint16_t* out);
  // scale = max|x| / 127, out[i] = x[i] / scale rounded to nearest even; n zeros have the scale 0. A NaN or
  // an infinity among x makes the scale NaN, so that it is not lost.
  void (*to_int8)(const float* x, int64_t n, int8_t* out, float* scale);
  // In place; returns log(sum(exp(x))) of the input.
  float (*softmax)(float* x, int64_t n);
};

}  // namespace lectern
