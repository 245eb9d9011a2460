// What the CUDA backend launches. Everything is asynchronous on `stream`, takes device memory, allocates
// nothing and checks nothing: shapes were checked by engine/cuda_backend, errors are found by its next
// synchronisation. Row-major throughout; `[a, b]` is a shape, last index contiguous. n = tokens (rows) of a
// piece of the batch, h = hidden_size, d = head_dim (at most 256), as in engine/model.h. h, d and the columns
// of all matrices are multiples of 8; every pointer to an array is aligned to 16 bytes, a matrix of weights
// to 256.
//
// Numbers: the residual stream is float; what a matrix product reads is bfloat16 (its range is that of float,
// and feed-forward blocks of Qwen2 reach far beyond half precision); attention reads queries, keys and values
// as IEEE halves, whose 11 bits keep the giant key biases of Qwen2 apart, and sums in float.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/rotary_position.h"
#include "kernels/common/types.h"

namespace lectern::cuda {

inline constexpr int kPageTokens = 128;

// ---- Matrices as they lie in a model file ----

// out[i, :] = row tokens[i] of table[vocab, cols] -> float [n, cols]
void embed(DType dtype, const void* table, int cols, const int32_t* tokens, int n, float* out,
           cudaStream_t stream);
// All n_elements (a multiple of the format's block) of a matrix.
void expand(DType dtype, const void* w, int64_t n_elements, __nv_bfloat16* out, cudaStream_t stream);

// y[t, r] (+)= sum_c x[t, c] W[rows ? rows[r] : r, c] for few tokens, W read once for all of them.
inline constexpr int kFewTokens = 8;
struct FewTokensArgs {
  DType dtype;
  const void* w;  // [*, cols] as in the file
  int n_rows, cols;
  const int32_t* rows;     // [n_rows] which rows of W; null: the first n_rows
  const __nv_bfloat16* x;  // [n, cols]
  int n;                   // any number; more than kFewTokens are taken kFewTokens at a time
  float* y;                // [n, y_stride]; null where y_bf16 is wanted
  __nv_bfloat16* y_bf16;
  int64_t y_stride;
  bool accumulate;  // into y
};
void matmul_few_tokens(const FewTokensArgs& args, cudaStream_t stream);

// fp8: x[n, cols] -> bytes (e4m3) and the scale of each row: x = scale * byte.
void quantize_e4m3(const __nv_bfloat16* x, int n, int cols, uint8_t* out, float* scales, cudaStream_t stream);

// ---- Rows ----

// out = x / sqrt(mean(x^2) + eps) * weight
void rmsnorm(const float* x, const float* weight, int n, int h, float eps, __nv_bfloat16* out,
             cudaStream_t stream);
// gate = silu(gate) * up, elementwise over n_elements
void silu_mul(__nv_bfloat16* gate, const __nv_bfloat16* up, int64_t n_elements, cudaStream_t stream);
// out[i, :] = x[rows[i], :]; for rows of floats, halves or bfloat16 by their size in bytes (a multiple of 4).
void gather_rows(const void* x, const int32_t* rows, int n, int64_t row_bytes, void* out,
                 cudaStream_t stream);
// *flag |= 1 where x[n] holds a NaN or an infinity.
void check_finite(const float* x, int64_t n, int32_t* flag, cudaStream_t stream);

// ---- Rotation and the KV cache ----

// cos and sin of each position's angles, [n, d] (cosines, then sines), computed in double precision: the
// key's, and the query's for each kind of chunk that it meets; null where none does.
struct Rotations {
  float* key;
  float* query[kKeyChunks];  // [kIntra] null without Dual Chunk Attention: queries are rotated as keys
};
void fill_rotations(const RotaryTable& table, const int32_t* positions, int n, const Rotations& out,
                    cudaStream_t stream);

// One layer's part of the KV pages. A page holds kPageTokens positions; the block of one KV head lies at
// pages + page * page_bytes + offset + kv_head * head_bytes, as KvType says.
struct KvSide {
  KvType type;
  size_t offset, head_bytes;
};
struct KvLayer {
  std::byte* pages;
  size_t page_bytes;
  KvSide k, v;
  int n_kv_heads, head_dim;
};

// qkv[n, (Hq + 2 Hkv) d] float, without biases -> queries as halves, scaled and rotated for each kind of
// chunk (null: not wanted), [n, Hq d]; keys (scaled and rotated) and values into the pages: row i at position
// positions[i] % kPageTokens of page pages[i].
struct StoreArgs {
  const float* qkv;
  const float *q_bias, *k_bias, *v_bias;
  const float *q_scale, *k_scale;  // [Hq d], [Hkv d] (engine/key_smoothing.h); null: none
  int n, n_heads;
  Rotations rotations;
  const int32_t* positions;
  const int32_t* pages;
  __half* q[kKeyChunks];
  KvLayer kv;
};
void rotate_and_store(const StoreArgs& args, cudaStream_t stream);

// ---- Attention ----

// A few queries of one sequence, all of one chunk; with the query heads of a KV head they are the rows of a
// block: row r is query r / group, head r % group of the group.
struct AttentionTask {
  int32_t row;                    // of the first query in q and out
  int32_t n_queries;              // n_queries * group <= attention_rows
  int32_t first_position;         // of the first query; its key is in the cache already
  int32_t page_table;             // index into `pages` of the sequence's first page
  int32_t succ_page, intra_page;  // Dual Chunk Attention as in kernels/cpu/kernel_table.h; 0 without
  int32_t sparse;                 // index of its lists in PageLists, or -1: all pages are read
  int32_t part;                   // sparse >= 0: index of its sequence in GatheredColumns
};
// Which pages the sparse tasks read: task's list of KV head k begins at lists + (sparse * n_kv_heads + k) *
// max_pages and has n[sparse * n_kv_heads + k] entries, ascending; fewer than 0: all pages are read.
struct PageLists {
  int32_t* lists;
  int32_t* n;
  int32_t max_pages;
};

// Single keys that sparse tasks read besides whole pages: copies in pages of their own. Those of a sequence
// and KV head are its wanted columns, ascending, in tiles of kColumnTile whose keys are of one chunk of Dual
// Chunk Attention; what is left of a tile is position -1. Tile i is half i % 2 of page part * max_tiles / 2 +
// i / 2 of `kv`. A task reads of its tiles what lies before its own page and in no page that it reads whole.
inline constexpr int kColumnTile = kPageTokens / 2;
struct GatheredColumns {
  KvLayer kv;
  int32_t* positions;  // [parts, n_kv_heads, max_tiles, kColumnTile]; null: there are none
  int32_t max_tiles;   // even
  int32_t* tiles;  // [tasks, n_kv_heads, max_tiles]: those that a task reads, and how many, as in PageLists
  int32_t* n_tiles;
  uint32_t* whole;  // [tasks, n_kv_heads, words]: bits of the pages in the task's list
  int32_t words;
};

inline constexpr int kPrefillRows = 128, kDecodeRows = 16;
struct AttentionArgs {
  const __half* q[kKeyChunks];  // [*, Hq d], rotated and not scaled; null as in StoreArgs
  KvLayer kv;
  int n_heads;
  const int32_t* pages;  // page tables of all sequences, one after the other
  const AttentionTask* tasks;
  int n_tasks;
  int rows;      // of a task at most: kPrefillRows or kDecodeRows
  int n_splits;  // the pages of a task are shared out among so many blocks; 1: none
  float*
      partial;  // n_splits > 1: [n_tasks, n_kv_heads, n_splits, rows, d + 2] (sum, maximum, weighted values)
  PageLists sparse;
  GatheredColumns gathered;
  float scale;         // 1/sqrt(d)
  __nv_bfloat16* out;  // [*, Hq d], rows as in q; null: only log_sum_exp is wanted
  float* log_sum_exp;  // [n_tasks, n_kv_heads, rows], natural logarithm; may be null
};
size_t attention_partial_floats(int n_tasks, int n_kv_heads, int n_splits, int rows, int head_dim);
void attention(const AttentionArgs& args, cudaStream_t stream);

// The mean key [d] of each whole page, [n_pages, n_kv_heads, d] float.
void page_means(const KvLayer& kv, const int32_t* pages, int n_pages, float* means, cudaStream_t stream);

// Writes the lists of the tasks whose `sparse` is not -1 by the rule of engine/page_selection.h. `means` are
// those of one sequence, whose page table begins at tasks[i].page_table for all of the tasks.
struct SelectArgs {
  AttentionArgs attention;
  const float* means;  // [pages, n_kv_heads, d]
  float threshold;
};
void select_pages(const SelectArgs& args, cudaStream_t stream);
// Sets n to -1 for all lists of a KV head whose sampled query lost too much attention: recall = the mean over
// the group of exp(few - all), where few and all are log_sum_exp [n_kv_heads, rows] of one task of one query.
void fall_back(const float* few, const float* all, int n_kv_heads, int rows, int group, float least_recall,
               int first_list, int n_lists, const PageLists& lists, float* recall, cudaStream_t stream);

// ---- Sparse attention by columns and diagonals (engine/vertical_slash.h) ----

// out[n, n_heads d] = q turned by the angles of cos_sin [d] more.
void turn_queries(const __half* q, int n, int n_heads, int d, const float* cos_sin, __half* out,
                  cudaStream_t stream);

// The attention of some queries of one sequence, summed over them along columns and diagonals.
struct ColumnSumArgs {
  // At most 64 consecutive queries as tasks of up to kPrefillRows rows, and their log_sum_exp.
  AttentionArgs attention;
  int first_position;  // of the first query
  int n_keys;          // of the sequence: the last query's position + 1
  float* columns;      // [n_heads, n_keys], by position of the key
  float* diagonals;    // [n_heads, n_keys], by distance; zeros before
};
void sum_columns(const ColumnSumArgs& args, cudaStream_t stream);

// Sets the bits of the budgets[2 * head] largest of each head's values, the first n_forced among them, of
// equal ones the first: in the bits [n_kv_heads, words] that the heads of a group share, zeros before.
struct LargestArgs {
  const float* values;  // [n_heads, n], none negative
  int n_heads, group, n;
  const int32_t* budgets;
  int n_forced;
  uint32_t* bits;
  int words;  // at least n / 32
};
void keep_largest(const LargestArgs& args, cudaStream_t stream);

// Copies the wanted columns of one sequence, `part`, into its gathered tiles, but those of pages of which at
// least half is wanted: their bits are set in dense [n_kv_heads, gathered.words].
struct GatherColumnsArgs {
  KvLayer kv;
  const int32_t* pages;     // of the sequence
  const uint32_t* columns;  // [n_kv_heads, 4 * n_pages], a bit a key
  int n_pages;
  int chunk_pages;  // of Dual Chunk Attention; n_pages without
  GatheredColumns gathered;
  int part;
  int32_t* n_tiles;  // [n_kv_heads]
  uint32_t* dense;
};
void gather_columns(const GatherColumnsArgs& args, cudaStream_t stream);

// Writes what the tasks of one sequence read: the pages that a diagonal touches, the dense ones and their
// own, and the gathered tiles that hold any other key for them.
struct ChooseKeysArgs {
  AttentionArgs attention;
  const uint32_t* diagonals;  // [n_kv_heads, diagonal_words], a bit a distance
  int diagonal_words;
  const uint32_t* dense;   // as GatherColumnsArgs wrote them
  const int32_t* n_tiles;  // [n_kv_heads]
};
void choose_keys(const ChooseKeysArgs& args, cudaStream_t stream);

// ---- Mixture of experts ----

// logits[n, E] -> softmax; the top_k likeliest experts of each token (lower index first where equal):
// experts[n, top_k], weights[n, top_k], renormalised over them or not.
void route(const float* logits, int n, int n_experts, int top_k, bool renormalise, int32_t* experts,
           float* weights, cudaStream_t stream);
// Rows by expert: first_row[E + 1], and slot s = token * top_k + i lies at row row_of[s] (in order of slots
// within an expert).
void group_by_expert(const int32_t* experts, int n_slots, int n_experts, int32_t* first_row, int32_t* row_of,
                     cudaStream_t stream);
// grouped[row_of[s], :] = x[s / top_k, :]
void scatter_to_experts(const __nv_bfloat16* x, const int32_t* row_of, int n_slots, int top_k, int h,
                        __nv_bfloat16* grouped, cudaStream_t stream);
// residual[t, :] += sum_i weights[t, i] y[row_of[t * top_k + i], :] + sigmoid(x[t, :] . shared_gate)
// shared[t, :] (shared null: without the last term)
void combine_experts(const float* y, const int32_t* row_of, const float* weights, const __nv_bfloat16* x,
                     const float* shared_gate, const float* shared, int n, int top_k, int h, float* residual,
                     cudaStream_t stream);

}  // namespace lectern::cuda
