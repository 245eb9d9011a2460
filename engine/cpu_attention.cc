// Attention on the CPU: cut into tasks of a few queries of one KV head, over all pages of keys or over those
// that matter (cpu_sparse_attention.cc).
#include <algorithm>
#include <climits>
#include <cmath>

#include "engine/cpu_backend.h"

namespace lectern {
namespace {

// Queries that one task takes: enough to share the conversion of K and V, few enough to share out.
constexpr int kQueries = 32;

}  // namespace

std::vector<CpuBackend::HeadTasks> CpuBackend::attention_tasks(int index, const Rows& rows,
                                                               const Queries& queries, float* out) {
  const int group = config_.group_size(), q_size = config_.q_size();
  // Queries of one task are of one chunk.
  const int chunk = rope_.chunk_tokens() > 0 ? rope_.chunk_tokens() : INT_MAX;
  std::vector<HeadTasks> heads;
  for (const BatchPart& part : rows.parts) {
    const int n_keys = part.first_position + part.n_tokens;
    const int n_pages = (n_keys + kKvPageTokens - 1) / kKvPageTokens;
    const int n_sparse = n_sparse_tokens(part, options_.sparse_prefill);
    for (int head = 0; part.n_tokens > 0 && head < config_.num_key_value_heads; ++head) {
      auto** keys = arena_.take<const void*>(static_cast<size_t>(n_pages));
      auto** values = arena_.take<const void*>(static_cast<size_t>(n_pages));
      for (int p = 0; p < n_pages; ++p) {
        const KvPageId page = part.sequence->pages[static_cast<size_t>(p)];
        keys[p] = kv_.keys(page, index, head);
        values[p] = kv_.values(page, index, head);
      }
      HeadTasks& of_head = heads.emplace_back();
      of_head.kv_head = head;
      for (int begin = 0, end = 0; begin < part.n_tokens; begin = end) {
        const int position = part.first_position + begin, intra = position / chunk * chunk;
        const int succ = std::max(intra - chunk, 0);
        end = begin + std::min({kQueries, part.n_tokens - begin, chunk - (position - intra)});
        const auto at = static_cast<size_t>(part.row + begin) * static_cast<size_t>(q_size) +
                        static_cast<size_t>(head * group * config_.head_dim);
        const auto query = [&](KeyChunk kind, bool met) {
          return met ? queries.of[static_cast<int>(kind)] + at : nullptr;
        };
        of_head.tasks.push_back({.q = query(KeyChunk::kIntra, true),
                                 .q_stride = q_size,
                                 .n_queries = end - begin,
                                 .group = group,
                                 .head_dim = config_.head_dim,
                                 .k_pages = keys,
                                 .v_pages = values,
                                 .k_type = kv_.layout().types()[static_cast<size_t>(index)].k,
                                 .v_type = kv_.layout().types()[static_cast<size_t>(index)].v,
                                 .page_tokens = kKvPageTokens,
                                 .first_position = position,
                                 .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                                 .out = out + at,
                                 .out_stride = q_size,
                                 .scratch = nullptr,
                                 .succ_page = succ / kKvPageTokens,
                                 .intra_page = intra / kKvPageTokens,
                                 .q_succ = query(KeyChunk::kSucc, intra > 0),
                                 .q_inter = query(KeyChunk::kInter, succ > 0),
                                 .pages = nullptr,
                                 .n_pages = n_pages,
                                 .log_sum_exp = nullptr});
        if (end <= n_sparse) ++of_head.n_sparse;
      }
    }
  }
  return heads;
}

void CpuBackend::run_attention(AttentionArgs args, const BlockKeys* keys, int worker) {
  if (keys != nullptr && !keys->stand_ins.empty())
    args = with_gathered(args, *keys, gathered_.memory + static_cast<size_t>(worker) * gathered_.bytes);
  args.scratch = attention_scratch_.data() + static_cast<size_t>(worker) * attention_scratch_bytes_;
  ops_.kernels().attention(args);
}

void CpuBackend::attend(int index, const Rows& rows, const Queries& queries, float* out) {
  std::vector<HeadTasks> heads = attention_tasks(index, rows, queries, out);
  if (std::any_of(heads.begin(), heads.end(), [](const HeadTasks& head) { return head.n_sparse > 0; }))
    choose_pages(index, heads);
  report_sparse(index, heads);
  struct Task {
    const AttentionArgs* args;
    const BlockKeys* keys;  // null but for those read by columns and diagonals
  };
  std::vector<Task> tasks;
  for (const HeadTasks& head : heads)
    for (size_t i = 0; i < head.tasks.size(); ++i)
      tasks.push_back({&head.tasks[i], i < head.keys.size() ? &head.keys[i] : nullptr});
  // The longest first, so that no thread is left alone with a long one at the end.
  const auto work = [](const Task& task) {
    const AttentionArgs& args = *task.args;
    return args.pages != nullptr ? args.n_pages * args.page_tokens : args.first_position;
  };
  std::stable_sort(tasks.begin(), tasks.end(),
                   [&](const Task& a, const Task& b) { return work(a) > work(b); });
  ops_.for_each(static_cast<int>(tasks.size()), [&](int i, int worker) {
    const Task& task = tasks[static_cast<size_t>(i)];
    run_attention(*task.args, task.keys, worker);
  });
}

}  // namespace lectern
