// Which keys the tasks of long prompts read on a CUDA device, and what that leaves out (SparsePrefill).
#include <algorithm>
#include <climits>
#include <numeric>

#include "engine/backend_options.h"
#include "engine/cuda_forward.h"
#include "engine/vertical_slash.h"

namespace lectern {
namespace {

size_t u(int64_t n) {
  return static_cast<size_t>(n);
}

int words_of(int n_bits) {
  return (n_bits + 31) / 32;
}

int most_pages(const CudaAttentionPlan& plan) {
  return std::max(plan.prefill_pages, plan.decode_pages);
}

}  // namespace

// What choosing takes besides its memory: the budgets, and the two turns to the critical positions.
void CudaBackend::upload_vertical_slash() {
  std::vector<int32_t> budgets;
  for (const auto& layer : config_.sparse_attention)
    for (const VerticalSlashBudget& head : layer) {
      budgets.push_back(head.vertical);
      budgets.push_back(head.slash);
    }
  std::vector<float> turns(2 * u(config_.head_dim));
  if (config_.dual_chunk_attention) {
    rope_.fill_further(rope_.table().chunk_tokens, turns.data());
    rope_.fill_further(rope_.table().chunk_size, turns.data() + config_.head_dim);
  }
  check_cuda(cudaMemcpyAsync(budgets_.at_least(budgets.size()), budgets.data(),
                             budgets.size() * sizeof(int32_t), cudaMemcpyHostToDevice, stream_),
             "copy the budgets of sparse attention");
  check_cuda(cudaMemcpyAsync(turns_.at_least(turns.size()), turns.data(), turns.size() * sizeof(float),
                             cudaMemcpyHostToDevice, stream_),
             "copy the budgets of sparse attention");
  stream_.synchronize();
}

cuda::PageLists CudaBackend::page_lists(const CudaAttentionPlan& plan) {
  const size_t n_lists = plan.sparse.size() * u(config_.num_key_value_heads);
  const int max_pages = most_pages(plan);
  return {.lists = lists_.at_least(n_lists * u(max_pages)),
          .n = list_lengths_.at_least(n_lists),
          .max_pages = max_pages};
}

// Memory for the layer's gathered columns, which are at most the budgets' and less than half of each page.
cuda::GatheredColumns CudaBackend::gathered_columns(int index, const CudaAttentionPlan& plan) {
  const int n_pages = most_pages(plan), n_kv_heads = config_.num_key_value_heads,
            group = config_.group_size();
  int64_t most_columns = 0;
  const auto& budgets = config_.sparse_attention[u(index)];
  for (auto head = budgets.begin(); head != budgets.end(); head += group)
    most_columns = std::max(most_columns, std::accumulate(head, head + group, int64_t{0},
                                                          [](int64_t sum, const VerticalSlashBudget& budget) {
                                                            return sum + budget.vertical;
                                                          }));
  most_columns = std::min(most_columns, int64_t{n_pages} * (cuda::kPageTokens / 2 - 1));
  const int n_chunks = (n_pages - 1) / chunk_pages() + 1;
  const auto n_gathered_pages = static_cast<int>(most_columns / cuda::kPageTokens) + n_chunks + 1;

  cuda::GatheredColumns gathered = {};
  gathered.kv = kv_layer(index);
  gathered.kv.k.offset = 0;
  gathered.kv.v.offset = u(n_kv_heads) * gathered.kv.k.head_bytes;
  gathered.kv.page_bytes = gathered.kv.v.offset + u(n_kv_heads) * gathered.kv.v.head_bytes;
  gathered.max_tiles = 2 * n_gathered_pages;
  gathered.words = words_of(n_pages);
  const size_t n_parts = plan.sparse_parts.size(), n_lists = plan.sparse.size() * u(n_kv_heads);
  gathered.kv.pages = gathered_.at_least(n_parts * u(n_gathered_pages) * gathered.kv.page_bytes);
  gathered.positions =
      gathered_positions_.at_least(n_parts * u(n_kv_heads) * u(gathered.max_tiles) * u(cuda::kColumnTile));
  gathered.n_tiles = tile_list_lengths_.at_least(n_lists);
  gathered.tiles = tile_lists_.at_least(n_lists * u(gathered.max_tiles));
  gathered.whole = whole_pages_.at_least(n_lists * u(gathered.words));
  return gathered;
}

int CudaBackend::chunk_pages() const {
  return config_.dual_chunk_attention ? rope_.table().chunk_tokens / kKvPageTokens : INT_MAX;
}

// Gives the sparse tasks what they read: all pages where a sampled query would lose more attention than it
// may.
void CudaBackend::choose_pages(int index, const cuda::AttentionArgs& attention, const Piece& piece,
                               const CudaAttentionPlan& plan, const AttentionInputs& inputs) {
  const int n_kv_heads = config_.num_key_value_heads;
  for (size_t i = 0; i < plan.sparse_parts.size(); ++i) {
    const CudaAttentionPlan::SparsePart& part = plan.sparse_parts[i];
    cuda::AttentionArgs args = attention;
    args.tasks = inputs.sparse + part.first;
    args.n_tasks = part.n;
    args.rows = cuda::kPrefillRows;
    if (by_vertical_slash(options_.sparse_prefill, config_)) {
      choose_by_vertical_slash(index, args, piece, static_cast<int>(i), plan, inputs);
    } else {
      choose_by_page_means(args, piece, part);
    }

    args.tasks = inputs.samples + 2 * i;
    args.n_tasks = 2;
    args.rows = cuda::kDecodeRows;
    const float* sums = log_sum_exp(args, most_pages(plan));
    float* recall = recall_.at_least(plan.sparse_parts.size() * u(n_kv_heads));
    cuda::fall_back(sums, sums + u(n_kv_heads) * cuda::kDecodeRows, n_kv_heads, cuda::kDecodeRows,
                    config_.group_size(), options_.sparse_prefill.least_recall, part.first, part.n,
                    attention.sparse, recall + i * u(n_kv_heads), stream_);
  }
  if (sparse_tap_) report_sparse(index, plan);
}

// Of the tasks' rows, [n_tasks, n_kv_heads, rows].
float* CudaBackend::log_sum_exp(cuda::AttentionArgs args, int n_pages) {
  args.out = nullptr;
  args.log_sum_exp = log_sum_exp_.at_least(u(args.n_tasks) * u(config_.num_key_value_heads) * u(args.rows));
  run_attention(args, n_pages);
  return args.log_sum_exp;
}

void CudaBackend::choose_by_page_means(const cuda::AttentionArgs& args, const Piece& piece,
                                       const CudaAttentionPlan::SparsePart& part) {
  float* means = page_means_.at_least(u(std::max(part.whole_pages, 1)) * u(config_.kv_size()));
  cuda::page_means(args.kv, piece.page_tables + part.page_table, part.whole_pages, means, stream_);
  cuda::select_pages({.attention = args, .means = means, .threshold = options_.sparse_prefill.threshold},
                     stream_);
}

// What the budgets of the layer's heads want, from the attention of the part's last queries. These stand at
// positions at which distances grow with every key (vertical_slash.h).
CudaBackend::WantedKeys CudaBackend::estimate_vertical_slash(int index, cuda::AttentionArgs args,
                                                             const Piece& piece,
                                                             const CudaAttentionPlan::SparsePart& part,
                                                             const AttentionInputs& inputs) {
  const int n_heads = config_.num_attention_heads;
  const size_t q_size = u(config_.q_size()), n_kv_heads = u(config_.num_key_value_heads);
  args.sparse = {};
  args.gathered = {};
  args.tasks = inputs.last + part.first_last;
  args.n_tasks = part.n_last;
  args.q[0] = piece.q[0] + u(part.last_row) * q_size;
  __half* turned = turned_q_.at_least((kKeyChunks - 1) * u(kEstimateQueries) * q_size);
  for (int kind = 1; kind < piece.plan->n_query_kinds; ++kind) {
    cuda::turn_queries(args.q[0], part.n_keys - part.last_position, n_heads, config_.head_dim,
                       turns_.data() + (kind - 1) * config_.head_dim, turned, stream_);
    args.q[kind] = turned;
    turned += u(kEstimateQueries) * q_size;
  }
  args.log_sum_exp = log_sum_exp(args, part.whole_pages + 1);

  const size_t n_sums = u(n_heads) * u(part.n_keys);
  float* columns = column_sums_.at_least(2 * n_sums);
  float* diagonals = columns + n_sums;
  check_cuda(cudaMemsetAsync(diagonals, 0, n_sums * sizeof(float), stream_), "clear sums");
  cuda::sum_columns({.attention = args,
                     .first_position = part.last_position,
                     .n_keys = part.n_keys,
                     .columns = columns,
                     .diagonals = diagonals},
                    stream_);

  const int words = (part.whole_pages + 1) * (kKvPageTokens / 32);
  const size_t n_words = n_kv_heads * u(words);
  uint32_t* bits = wanted_.at_least(2 * n_words);
  check_cuda(cudaMemsetAsync(bits, 0, 2 * n_words * sizeof(uint32_t), stream_), "clear bits");
  const auto keep = [&](const float* values, int which, int n_forced) {
    cuda::keep_largest({.values = values,
                        .n_heads = n_heads,
                        .group = config_.group_size(),
                        .n = part.n_keys,
                        .budgets = budgets_.data() + 2 * u(index) * u(n_heads) + which,
                        .n_forced = n_forced,
                        .bits = bits + u(which) * n_words,
                        .words = words},
                       stream_);
  };
  keep(columns, 0, kSinkColumns);
  keep(diagonals, 1, kNearDiagonals);
  return {.columns = bits, .diagonals = bits + n_words, .words = words};
}

void CudaBackend::choose_by_vertical_slash(int index, const cuda::AttentionArgs& args, const Piece& piece,
                                           int part_index, const CudaAttentionPlan& plan,
                                           const AttentionInputs& inputs) {
  const CudaAttentionPlan::SparsePart& part = plan.sparse_parts[u(part_index)];
  const size_t n_kv_heads = u(config_.num_key_value_heads);
  const WantedKeys wanted = estimate_vertical_slash(index, args, piece, part, inputs);
  uint32_t* dense = dense_pages_.at_least(n_kv_heads * u(args.gathered.words));
  int32_t* n_tiles = n_gathered_tiles_.at_least(n_kv_heads);
  const int n_pages = part.whole_pages + 1;
  cuda::gather_columns({.kv = args.kv,
                        .pages = piece.page_tables + part.page_table,
                        .columns = wanted.columns,
                        .n_pages = n_pages,
                        .chunk_pages = std::min(chunk_pages(), n_pages),
                        .gathered = args.gathered,
                        .part = part_index,
                        .n_tiles = n_tiles,
                        .dense = dense},
                       stream_);
  cuda::choose_keys({.attention = args,
                     .diagonals = wanted.diagonals,
                     .diagonal_words = wanted.words,
                     .dense = dense,
                     .n_tiles = n_tiles},
                    stream_);
}

// `read` counts gathered keys, too.
void CudaBackend::report_sparse(int index, const CudaAttentionPlan& plan) {
  const size_t n_kv_heads = u(config_.num_key_value_heads), n_lists = plan.sparse.size() * n_kv_heads;
  const auto download = [&]<typename T>(const T* from, size_t n) {
    std::vector<T> values(n);
    check_cuda(cudaMemcpyAsync(values.data(), from, n * sizeof(T), cudaMemcpyDeviceToHost, stream_),
               "copy what is read");
    stream_.synchronize();
    return values;
  };
  const std::vector<int32_t> lengths = download(list_lengths_.data(), n_lists);
  std::vector<int32_t> n_tiles(n_lists, 0);
  if (by_vertical_slash(options_.sparse_prefill, config_))
    n_tiles = download(tile_list_lengths_.data(), n_lists);
  const std::vector<float> recall = download(recall_.data(), plan.sparse_parts.size() * n_kv_heads);
  for (size_t i = 0; i < plan.sparse_parts.size(); ++i) {
    const CudaAttentionPlan::SparsePart& part = plan.sparse_parts[i];
    for (size_t head = 0; head < n_kv_heads; ++head) {
      double read = 0, visible = 0;
      for (int t = part.first; t < part.first + part.n; ++t) {
        const cuda::AttentionTask& task = plan.sparse[u(t)];
        const int n_pages = (task.first_position + task.n_queries - 1) / kKvPageTokens + 1;
        const size_t list = u(t) * n_kv_heads + head;
        visible += n_pages;
        read += lengths[list] < 0 ? n_pages : lengths[list] + n_tiles[list] / 2.0;
      }
      sparse_tap_({index, static_cast<int>(head), recall[i * n_kv_heads + head], read / visible});
    }
  }
}

}  // namespace lectern
