// Attention on the CPU: cut into tasks of a few queries of one KV head, over all pages of keys or over those
// that matter.
#include <algorithm>
#include <climits>
#include <cmath>

#include "engine/cpu_backend.h"
#include "engine/page_selection.h"

namespace lectern {
namespace {

// Queries that one task takes: enough to share the conversion of K and V, few enough to share out.
constexpr int kQueries = 32;
// Fewer new tokens are a question rather than a document; all pages are read for them, and for the last ones
// of a piece whose logits are wanted, which write the answer.
constexpr int kLeastSparseTokens = 64;

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
    const bool sparse = n_keys > options_.sparse_prefill.above_tokens && part.n_tokens >= kLeastSparseTokens;
    const int n_sparse_tokens = !sparse ? 0 : part.n_tokens - (part.n_wanted > 0 ? kLeastSparseTokens : 0);
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
        if (end <= n_sparse_tokens) ++of_head.n_sparse;
      }
    }
  }
  return heads;
}

// Gives the sparse tasks of each head the pages that they read: all where a sampled query would lose more
// attention than it may.
void CpuBackend::choose_pages(std::span<HeadTasks> heads) {
  const KernelTable& kernels = ops_.kernels();
  const auto d = static_cast<size_t>(config_.head_dim);
  struct Page {
    const AttentionArgs* args;
    int page;
    float* mean;
  };
  struct Block {
    AttentionArgs* args;
    const float* means;
    int32_t* pages;
  };
  std::vector<Page> pages;
  std::vector<Block> blocks;
  for (HeadTasks& head : heads) {
    if (head.n_sparse == 0) continue;
    const int n_whole = head.tasks.back().n_pages - 1;
    auto* means = arena_.take<float>(static_cast<size_t>(n_whole) * d);
    for (int page = 0; page < n_whole; ++page)
      pages.push_back({&head.tasks[0], page, means + static_cast<size_t>(page) * d});
    for (int i = 0; i < head.n_sparse; ++i) {
      AttentionArgs& args = head.tasks[static_cast<size_t>(i)];
      blocks.push_back({&args, means, arena_.take<int32_t>(static_cast<size_t>(args.n_pages))});
    }
  }
  ops_.for_rows(static_cast<int>(pages.size()), [&](int begin, int end) {
    for (int i = begin; i < end; ++i) {
      const auto& [args, page, mean] = pages[static_cast<size_t>(i)];
      kernels.page_mean(args->k_pages[page], args->k_type, kKvPageTokens, config_.head_dim, mean);
    }
  });
  ops_.for_each(static_cast<int>(blocks.size()), [&](int i, int) {
    const auto& [args, means, chosen] = blocks[static_cast<size_t>(i)];
    args->n_pages = select_pages(kernels, *args, means, options_.sparse_prefill.threshold, chosen);
    args->pages = chosen;
  });
  ops_.for_each(static_cast<int>(heads.size()), [&](int i, int worker) {
    HeadTasks& head = heads[static_cast<size_t>(i)];
    if (head.n_sparse == 0) return;
    const AttentionArgs& last = head.tasks[static_cast<size_t>(head.n_sparse - 1)];
    head.recall = attention_recall(last, worker);
    if (head.recall >= double{options_.sparse_prefill.least_recall}) return;
    for (AttentionArgs& args : head.tasks) args.pages = nullptr;
  });
}

void CpuBackend::report_sparse(int index, std::span<const HeadTasks> heads) const {
  for (const HeadTasks& head : heads) {
    if (head.n_sparse == 0 || !sparse_tap_) continue;
    int64_t read = 0, visible = 0;
    for (const AttentionArgs& args : std::span(head.tasks).first(static_cast<size_t>(head.n_sparse))) {
      const int n = (args.first_position + args.n_queries - 1) / kKvPageTokens + 1;
      visible += n;
      read += args.pages != nullptr ? args.n_pages : n;
    }
    sparse_tap_({index, head.kv_head, head.recall, static_cast<double>(read) / static_cast<double>(visible)});
  }
}

// The share of the attention of the task's last query that its pages hold, mean over the query heads: the
// ratio of the sums of exponentials over these and over all pages.
double CpuBackend::attention_recall(AttentionArgs args, int worker) {
  const auto group = static_cast<size_t>(args.group);
  std::vector<float> out(group * static_cast<size_t>(args.head_dim)), few(group), all(group);
  for (const float** q : {&args.q, &args.q_succ, &args.q_inter})
    if (*q != nullptr) *q += (args.n_queries - 1) * args.q_stride;
  args.first_position += args.n_queries - 1;
  args.n_queries = 1;
  args.out = out.data();
  args.log_sum_exp = few.data();
  run_attention(args, worker);
  args.pages = nullptr;
  args.log_sum_exp = all.data();
  run_attention(args, worker);
  double recall = 0;
  for (size_t g = 0; g < group; ++g) recall += std::exp(double{few[g]} - double{all[g]});
  return recall / static_cast<double>(group);
}

void CpuBackend::run_attention(AttentionArgs& args, int worker) {
  args.scratch = attention_scratch_.data() + static_cast<size_t>(worker) * attention_scratch_bytes_;
  ops_.kernels().attention(args);
}

void CpuBackend::attend(int index, const Rows& rows, const Queries& queries, float* out) {
  std::vector<HeadTasks> heads = attention_tasks(index, rows, queries, out);
  if (std::any_of(heads.begin(), heads.end(), [](const HeadTasks& head) { return head.n_sparse > 0; }))
    choose_pages(heads);
  report_sparse(index, heads);
  std::vector<AttentionArgs> tasks;
  for (const HeadTasks& head : heads) tasks.insert(tasks.end(), head.tasks.begin(), head.tasks.end());
  // The longest first, so that no thread is left alone with a long one at the end.
  const auto work = [](const AttentionArgs& args) {
    return args.pages != nullptr ? args.n_pages * args.page_tokens : args.first_position;
  };
  std::stable_sort(tasks.begin(), tasks.end(),
                   [&](const AttentionArgs& a, const AttentionArgs& b) { return work(a) > work(b); });
  ops_.for_each(static_cast<int>(tasks.size()),
                [&](int task, int worker) { run_attention(tasks[static_cast<size_t>(task)], worker); });
}

}  // namespace lectern
