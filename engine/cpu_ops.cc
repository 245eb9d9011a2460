#include "engine/cpu_ops.h"

#include <algorithm>

namespace lectern {
namespace {

// Enough tasks that threads which were held up do not keep the others waiting, few enough that a task is
// worth its overhead.
constexpr int kTasksPerThread = 12;
// Row tiles that the kernels take together at best, so shares are multiples of it where there are rows
// enough.
constexpr int kPanelTiles = 4;
// Rows of activations a task takes at least: rows are short work.
constexpr int kMinRows = 4;

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
  int64_t total_tiles = 0;
  for (const MatmulJob& job : jobs) total_tiles += (job.w->rows + kRowTile - 1) / kRowTile;
  int64_t step_tiles = std::max<int64_t>(1, total_tiles / (2 * kTasksPerThread * pool_.size()));
  if (total_tiles >= kPanelTiles * kTasksPerThread * pool_.size() / 2)
    step_tiles = (step_tiles + kPanelTiles - 1) / kPanelTiles * kPanelTiles;
  const int step = kRowTile * static_cast<int>(step_tiles);
  tasks_.clear();
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (int begin = 0; begin < jobs[j].w->rows; begin += step) {
      tasks_.push_back({static_cast<int>(j), begin, std::min(jobs[j].w->rows, begin + step)});
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
