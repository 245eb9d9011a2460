// Which keys the tasks of long prompts read, and what that leaves out (SparsePrefill).
#include <algorithm>
#include <cmath>

#include "engine/backend_options.h"
#include "engine/cpu_backend.h"
#include "engine/page_selection.h"

namespace lectern {

// Gives the sparse tasks of each head what they read: all pages where a sampled query would lose more
// attention than it may.
void CpuBackend::choose_pages(int index, std::span<HeadTasks> heads) {
  if (by_vertical_slash(options_.sparse_prefill, config_))
    choose_by_vertical_slash(index, heads);
  else
    choose_by_page_means(heads);
  ops_.for_each(static_cast<int>(heads.size()), [&](int i, int worker) {
    HeadTasks& head = heads[static_cast<size_t>(i)];
    if (head.n_sparse == 0) return;
    const auto last = static_cast<size_t>(head.n_sparse - 1);
    head.recall = attention_recall(head.tasks[last], head.keys.empty() ? nullptr : &head.keys[last], worker);
    if (head.recall >= double{options_.sparse_prefill.least_recall}) return;
    for (AttentionArgs& args : head.tasks) args.pages = nullptr;
    head.keys.clear();
  });
}

void CpuBackend::choose_by_page_means(std::span<HeadTasks> heads) {
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
}

// A head after the other, since the sums over all its columns and diagonals are large. Keys are gathered only
// when a task runs, for the same reason.
void CpuBackend::choose_by_vertical_slash(int index, std::span<HeadTasks> heads) {
  const auto& budgets = config_.sparse_attention[static_cast<size_t>(index)];
  const auto group = static_cast<size_t>(config_.group_size());
  gathered_ = {};
  for (HeadTasks& head : heads) {
    if (head.n_sparse == 0) continue;
    const AttentionArgs& end = head.tasks.back();
    AttentionArgs last = head.tasks.front();
    const int n_tokens = end.first_position + end.n_queries - last.first_position;
    const int before = std::max(n_tokens - kEstimateQueries, 0);
    last.q += before * last.q_stride;
    last.first_position += before;
    last.n_queries = n_tokens - before;
    const VerticalSlash wanted = estimate_vertical_slash(
        ops_, rope_, last, std::span(budgets).subspan(static_cast<size_t>(head.kv_head) * group, group));
    head.keys.resize(static_cast<size_t>(head.n_sparse));
    ops_.for_each(head.n_sparse, [&](int i, int) {
      AttentionArgs& args = head.tasks[static_cast<size_t>(i)];
      BlockKeys& keys = head.keys[static_cast<size_t>(i)];
      keys = choose_keys(args, wanted);
      args.pages = keys.pages.data();
      args.n_pages = static_cast<int32_t>(keys.pages.size());
    });
    for (const BlockKeys& keys : head.keys)
      gathered_.bytes = std::max(gathered_.bytes, (gathered_bytes(end, keys) + 63) / 64 * 64);
  }
  gathered_.memory = arena_.take<std::byte>(gathered_.bytes * static_cast<size_t>(ops_.n_threads()));
}

// `read` counts pages of gathered keys, too.
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

// The share of the attention of the task's last query that what it reads holds, mean over the query heads:
// the ratio of the sums of exponentials over these keys and over all.
double CpuBackend::attention_recall(AttentionArgs args, const BlockKeys* keys, int worker) {
  const auto group = static_cast<size_t>(args.group);
  std::vector<float> out(group * static_cast<size_t>(args.head_dim)), few(group), all(group);
  for (const float** q : {&args.q, &args.q_succ, &args.q_inter})
    if (*q != nullptr) *q += (args.n_queries - 1) * args.q_stride;
  args.first_position += args.n_queries - 1;
  args.n_queries = 1;
  args.out = out.data();
  args.log_sum_exp = few.data();
  run_attention(args, keys, worker);
  args.pages = nullptr;
  args.log_sum_exp = all.data();
  run_attention(args, nullptr, worker);
  double recall = 0;
  for (size_t g = 0; g < group; ++g) recall += std::exp(double{few[g]} - double{all[g]});
  return recall / static_cast<double>(group);
}

}  // namespace lectern
