#include "engine/page_selection.h"

#include <algorithm>
#include <vector>

namespace lectern {
namespace {

// scores[first, last) = scale * q . mean, with q rotated for each page's chunk (Dual Chunk Attention).
void score_pages(const KernelTable& kernels, const AttentionArgs& args, int64_t at, const float* means,
                 int32_t first, int32_t last, float* scores) {
  struct Run {
    const float* q;
    int32_t begin, end;
  };
  const Run runs[] = {{args.q_inter, 0, args.succ_page},
                      {args.q_succ, args.succ_page, args.intra_page},
                      {args.q, args.intra_page, last}};
  for (const Run& run : runs) {
    const int32_t begin = std::max(run.begin, first), end = std::min(run.end, last);
    if (begin >= end) continue;
    kernels.dots(run.q + at, means + static_cast<int64_t>(begin) * args.head_dim, end - begin, args.head_dim,
                 scores + begin);
  }
  for (int32_t page = first; page < last; ++page) scores[page] *= args.scale;
}

}  // namespace

int32_t select_pages(const KernelTable& kernels, const AttentionArgs& args, const float* means,
                     float threshold, int32_t* pages) {
  const int32_t begin = args.first_position / args.page_tokens;
  const int32_t end = (args.first_position + args.n_queries - 1) / args.page_tokens + 1;
  const int32_t first = std::min(kSinkPages, begin), last = std::max(begin - kLocalPages + 1, first);
  std::vector<float> scores(static_cast<size_t>(last)), mass(static_cast<size_t>(last));
  std::vector<bool> read(static_cast<size_t>(end), false);
  for (int32_t g = 0; g < args.group && first < last; ++g) {
    std::fill(mass.begin(), mass.end(), 0.0f);
    for (int32_t i = 0; i < args.n_queries; ++i) {
      score_pages(kernels, args, i * args.q_stride + g * args.head_dim, means, first, last, scores.data());
      kernels.softmax(scores.data() + first, last - first);
      kernels.add(mass.data() + first, scores.data() + first, last - first);
    }
    const float least = threshold * *std::max_element(mass.begin() + first, mass.end());
    for (int32_t page = first; page < last; ++page)
      if (mass[static_cast<size_t>(page)] >= least) read[static_cast<size_t>(page)] = true;
  }
  int32_t n = 0;
  for (int32_t page = 0; page < end; ++page)
    if (page < first || page >= last || read[static_cast<size_t>(page)]) pages[n++] = page;
  return n;
}

}  // namespace lectern
