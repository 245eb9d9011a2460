// The kernels of one bundle spread over a team of threads. Each call is one parallel region (or none, where
// there is a single task); jobs of one call are independent of each other. Used by one thread at a time.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/cpu/kernel_table.h"

namespace lectern {

struct QuantizeJob {
  DType dtype;     // of the weights that will read it
  const float* x;  // [n_tokens, cols]
  int n_tokens;
  int cols;
  void* out;  // activation_bytes(...)
};

// y[n_tokens, w.rows] (+)= x w^T + bias
struct MatmulJob {
  const PackedMatrix* w;
  const void* x;  // quantised for w->dtype
  int n_tokens;
  float* y;  // [n_tokens, y_stride]
  int64_t y_stride;
  const float* bias = nullptr;
  bool accumulate = false;
};

class CpuOps {
 public:
  CpuOps(const KernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  const KernelTable& kernels() const { return kernels_; }
  int n_threads() const { return pool_.size(); }

  void quantize(std::span<const QuantizeJob> jobs);
  void matmul(std::span<const MatmulJob> jobs);
  // body(begin, end) over blocks of [0, n).
  void for_rows(int n, const std::function<void(int begin, int end)>& body);
  // task(index, worker) for [0, n), one by one, in order of index.
  void for_each(int n, const std::function<void(int index, int worker)>& task);

 private:
  struct Task {
    int job, begin, end;
  };

  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::vector<Task> tasks_;
};

}  // namespace lectern
