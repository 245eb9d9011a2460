// What a piece of a batch means for the CUDA kernels: rows, pages, and the blocks of queries that attention
// takes. Bookkeeping of the host without arithmetic; immutable once made.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/backend.h"
#include "engine/batch.h"
#include "kernels/cuda/cuda_kernels.h"

namespace lectern {

// The queries of a piece as tasks for cuda::attention.
struct CudaAttentionPlan {
  // Many queries, and few: those of decoding and of short questions, whose keys are shared out instead.
  std::vector<cuda::AttentionTask> prefill, decode;
  // The most pages that a task of each reads.
  int prefill_pages = 0, decode_pages = 0;

  // The sparse tasks of one part (SparsePrefill): tasks[first, first + n) with the lists of the same numbers.
  struct SparsePart {
    int first, n;
    int page_table;   // its first page in CudaPiecePlan::page_tables
    int whole_pages;  // pages that may be left out
    // The last queries, which show where the attention lies, from last_position on: tasks[first_last,
    // first_last + n_last) of `last`, with rows that count from last_row. They see n_keys.
    int first_last, n_last, last_row, last_position, n_keys;
  };
  std::vector<SparsePart> sparse_parts;
  std::vector<cuda::AttentionTask> sparse;   // again, by part and in order
  std::vector<cuda::AttentionTask> samples;  // two a part: a query read by its list, and in full
  std::vector<cuda::AttentionTask> last;     // the last kEstimateQueries of each part
};

struct CudaPiecePlan {
  int n = 0;
  std::vector<int32_t> tokens, positions, pages;  // [n]; pages: of the KV cache, where each row is kept
  std::vector<int32_t> page_tables;               // of the sequences, one after the other
  std::vector<int32_t> wanted;                    // rows whose logits are wanted
  int n_query_kinds = 1;                          // kinds of key chunks that some query meets (KeyChunk)
  CudaAttentionPlan attention;                    // of all layers but the last
  CudaAttentionPlan last_attention;               // of the wanted rows only, which lie together there
};

CudaPiecePlan plan_piece(const BatchPiece& piece, const Qwen2Config& config, const SparsePrefill& sparse);

// Among how many blocks the pages of each task are shared out, so that the device's multiprocessors have
// work: a power of two, at most one for two pages.
int attention_splits(int n_tasks, int n_kv_heads, int most_pages, int n_multiprocessors);

}  // namespace lectern
