#include "engine/cpu_ops.h"

#include <algorithm>

namespace lectern {
namespace {

// Guided self-scheduling (Polychronopoulos and Kuck 1987): a task takes this share of what is left for each
// thread, so tasks are few and long at first, which is how memory is read best, and short at the end, where
// threads wait for the last one.
constexpr int kShareOfRest = 2;
// The shortest tasks are this part of one thread's work.
constexpr int kTasksPerThread = 24;
// Many tokens meet the weights of a task several times over, so these should stay in the L2 cache.
constexpr size_t kLongestTaskBytes = size_t{160} << 10;
constexpr int kManyTokens = 64;
// Row tiles that the kernels take together at best, so shares are multiples of it where there are rows
// enough.
constexpr int kPanelTiles = 4;
// Rows of activations a task takes at least: rows are short work.
constexpr int kMinRows = 4;

int n_tiles(const MatmulJob& job) {
  return (job.w->rows + kRowTile - 1) / kRowTile;
}

// In row tiles, a multiple of `unit` or less than it.
int longest_task(const MatmulJob& job, int unit) {
  if (job.n_tokens <= kManyTokens) return n_tiles(job);
  return static_cast<int>(kLongestTaskBytes / job.w->row_tile_bytes) / unit * unit;
}

}  // namespace

void CpuOps::for_each(int n, const std::function<void(int, int)>& task) {
  if (n == 1) {
    task(0, 0);  // not worth waking anybody
  } else {
    pool_.run(n, task);
  }
}

void CpuOps::for_rows(int n, const std::function<void(int, int)>& body) {
  const int step = std::max(kMinRows, n / (4 * pool_.size()));
  for_each((n + step - 1) / step, [&](int task, int) { body(task * step, std::min(n, (task + 1) * step)); });
}

void CpuOps::quantize(std::span<const QuantizeJob> jobs) {
  tasks_.clear();
  for (size_t j = 0; j < jobs.size(); ++j) {
    const int step = std::max(kMinRows, jobs[j].n_tokens / (4 * pool_.size()));
    for (int begin = 0; begin < jobs[j].n_tokens; begin += step) {
      tasks_.push_back({static_cast<int>(j), begin, std::min(jobs[j].n_tokens, begin + step)});
    }
  }
  for_each(static_cast<int>(tasks_.size()), [&](int index, int) {
    const Task& task = tasks_[static_cast<size_t>(index)];
    const QuantizeJob& job = jobs[static_cast<size_t>(task.job)];
    kernels_.quantize(job.dtype, job.x, job.cols, job.n_tokens, job.cols, task.begin, task.end, job.out);
  });
}

void CpuOps::matmul(std::span<const MatmulJob> jobs) {
  int rest = 0;  // row tiles that no task has yet
  for (const MatmulJob& job : jobs) rest += n_tiles(job);
  const int unit = rest >= kPanelTiles * 6 * pool_.size() ? kPanelTiles : 1;
  const int shortest = std::max(1, rest / (kTasksPerThread * pool_.size() * unit)) * unit;
  tasks_.clear();
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (int begin = 0; begin < jobs[j].w->rows;) {
      const int share = rest / (kShareOfRest * pool_.size() * unit) * unit;
      const int tiles = std::max(shortest, std::min(share, longest_task(jobs[j], unit)));
      const int end = std::min(jobs[j].w->rows, begin + tiles * kRowTile);
      tasks_.push_back({static_cast<int>(j), begin, end});
      rest -= (end - begin + kRowTile - 1) / kRowTile;
      begin = end;
    }
  }
  for_each(static_cast<int>(tasks_.size()), [&](int index, int) {
    const Task& task = tasks_[static_cast<size_t>(index)];
    const MatmulJob& job = jobs[static_cast<size_t>(task.job)];
    kernels_.matmul({.w = job.w,
                     .x = job.x,
                     .n_tokens = job.n_tokens,
                     .row_begin = task.begin,
                     .row_end = task.end,
                     .bias = job.bias,
                     .y = job.y,
                     .y_stride = job.y_stride,
                     .accumulate = job.accumulate});
  });
}

}  // namespace lectern
