// Attention of the last 4,096 tokens of a prompt, and of one token, for the shapes of Qwen2.5-0.5B and 7B.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_kernels.h"
#include "tests/bench/cuda/bench.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/kernels/random_numbers.h"

namespace lectern::bench {
namespace {

using cuda::kPageTokens;
using test::DeviceBuffer;

struct Shape {
  const char* name;
  int n_heads, n_kv_heads, head_dim;
};
constexpr Shape kShapes[] = {{"0.5B", 14, 2, 64}, {"7B", 28, 4, 128}};

// A few thousand random halves, repeated, so that the host needs no copy of what is on the device.
class Halves {
 public:
  Halves(size_t n, uint32_t seed) : n_(n), buffer_(n) {
    for (const float x : random_floats(4099, seed)) few_.push_back(__float2half_rn(x));
    std::vector<__half> all(n);
    for (size_t i = 0; i < n; ++i) all[i] = few_[i % few_.size()];
    test::must(
        cudaMemcpyAsync(buffer_.data(), all.data(), n * sizeof(__half), cudaMemcpyHostToDevice, nullptr));
    test::must(cudaStreamSynchronize(nullptr));
  }
  __half* data() const { return buffer_.data(); }
  double operator[](size_t i) const { return double{__half2float(few_[i % few_.size()])}; }
  size_t size() const { return n_; }

 private:
  size_t n_;
  std::vector<__half> few_;
  DeviceBuffer<__half> buffer_;
};

// Sequences of n_keys tokens, whose pages lie mixed, and the last n_queries tokens of each.
class Attention {
 public:
  Attention(const Shape& shape, int n_sequences, int n_keys, int n_queries, int rows)
      : shape_(shape),
        n_keys_(n_keys),
        n_queries_(n_queries),
        rows_(rows),
        pages_(static_cast<size_t>(n_sequences * ((n_keys - 1) / kPageTokens + 1))),
        cache_(pages_ * page_halves(), 1),
        q_(static_cast<size_t>(n_sequences * n_queries) * row_halves(), 2),
        out_(q_.size()),
        page_table_(mixed(pages_)),
        device_pages_(page_table_),
        tasks_(cut(n_sequences)),
        device_tasks_(tasks_) {}

  void launch(int n_splits, float* partial, cudaStream_t stream) const {
    cuda::AttentionArgs args = {};
    for (auto& q : args.q) q = q_.data();
    const size_t head_bytes = 2 * head_halves();
    args.kv = {reinterpret_cast<std::byte*>(cache_.data()),
               2 * page_halves(),
               {KvType::kF16, 0, head_bytes},
               {KvType::kF16, static_cast<size_t>(shape_.n_kv_heads) * head_bytes, head_bytes},
               shape_.n_kv_heads,
               shape_.head_dim};
    args.n_heads = shape_.n_heads;
    args.pages = device_pages_.data();
    args.tasks = device_tasks_.data();
    args.n_tasks = static_cast<int>(tasks_.size());
    args.rows = rows_;
    args.n_splits = n_splits;
    args.partial = partial;
    args.scale = scale();
    args.out = out_.data();
    cuda::attention(args, stream);
  }
  size_t partial_floats(int n_splits) const {
    return cuda::attention_partial_floats(static_cast<int>(tasks_.size()), shape_.n_kv_heads, n_splits, rows_,
                                          shape_.head_dim);
  }
  // A few rows against the equations in double precision.
  void check(Bench& bench, const std::string& name) const {
    const auto got = out_.values();
    const int group = shape_.n_heads / shape_.n_kv_heads, d = shape_.head_dim;
    for (const cuda::AttentionTask* task : {&tasks_.front(), &tasks_[tasks_.size() / 2], &tasks_.back()})
      for (const int head : {0, shape_.n_heads - 1}) {
        const int query = head == 0 ? 0 : task->n_queries - 1;
        const auto at = static_cast<size_t>(((task->row + query) * shape_.n_heads + head) * d);
        const std::vector<double> expected =
            attend(at, *task, task->first_position + query, static_cast<size_t>(head / group));
        for (size_t c = 0; c < expected.size(); ++c)
          bench.check(name, double{__bfloat162float(got[at + c])}, expected[c],
                      std::abs(expected[c]) / 256 + 2e-3);
      }
  }
  double operations() const {
    double n = 0;
    for (const cuda::AttentionTask& task : tasks_)
      for (int i = 0; i < task.n_queries; ++i) n += task.first_position + i + 1;
    return 4.0 * n * shape_.n_heads * shape_.head_dim;  // two products, a multiplication and an addition each
  }
  double bytes() const { return 2.0 * static_cast<double>(cache_.size()); }

 private:
  size_t head_halves() const { return static_cast<size_t>(kPageTokens * shape_.head_dim); }
  size_t page_halves() const { return 2 * static_cast<size_t>(shape_.n_kv_heads) * head_halves(); }
  size_t row_halves() const { return static_cast<size_t>(shape_.n_heads * shape_.head_dim); }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)); }

  static std::vector<int32_t> mixed(size_t n) {
    size_t step = 7919;  // coprime to n
    while (std::gcd(step, n) != 1) ++step;
    std::vector<int32_t> pages;
    for (size_t i = 0; i < n; ++i) pages.push_back(static_cast<int32_t>(i * step % n));
    return pages;
  }
  std::vector<cuda::AttentionTask> cut(int n_sequences) const {
    std::vector<cuda::AttentionTask> tasks;
    const int most = rows_ / (shape_.n_heads / shape_.n_kv_heads);
    for (int s = 0; s < n_sequences; ++s)
      for (int end = n_queries_; end > 0;) {  // the longest first
        const int n = std::min(most, end);
        end -= n;
        tasks.push_back({.row = s * n_queries_ + end,
                         .n_queries = n,
                         .first_position = n_keys_ - n_queries_ + end,
                         .page_table = s * ((n_keys_ - 1) / kPageTokens + 1),
                         .succ_page = 0,
                         .intra_page = 0,
                         .sparse = -1});
      }
    return tasks;
  }
  std::vector<double> attend(size_t q_at, const cuda::AttentionTask& task, int position,
                             size_t kv_head) const {
    const auto d = static_cast<size_t>(shape_.head_dim), n_kv_heads = static_cast<size_t>(shape_.n_kv_heads);
    std::vector<double> out(d);
    double sum = 0;
    for (int key = 0; key <= position; ++key) {
      const auto page =
          static_cast<size_t>(page_table_[static_cast<size_t>(task.page_table + key / kPageTokens)]);
      const size_t k =
          page * page_halves() + kv_head * head_halves() + static_cast<size_t>(key % kPageTokens) * d;
      const size_t v = k + n_kv_heads * head_halves();
      double score = 0;
      for (size_t c = 0; c < d; ++c) score += q_[q_at + c] * cache_[k + c];
      const double weight = std::exp(score * double{scale()});  // of normal numbers: far from overflow
      sum += weight;
      for (size_t c = 0; c < d; ++c) out[c] += weight * cache_[v + c];
    }
    for (double& x : out) x /= sum;
    return out;
  }

  Shape shape_;
  int n_keys_, n_queries_, rows_;
  size_t pages_;
  Halves cache_, q_;
  DeviceBuffer<__nv_bfloat16> out_;
  std::vector<int32_t> page_table_;
  DeviceBuffer<int32_t> device_pages_;
  std::vector<cuda::AttentionTask> tasks_;
  DeviceBuffer<cuda::AttentionTask> device_tasks_;
};

void prefill(Bench& bench, const Shape& shape, int n_keys) {
  const std::string name =
      std::string("attention ") + shape.name + " of 4096 tokens over " + std::to_string(n_keys);
  if (!bench.wanted(name)) return;
  const Attention attention(shape, 1, n_keys, 4096, cuda::kPrefillRows);
  attention.launch(1, nullptr, bench.stream());
  test::must(cudaStreamSynchronize(bench.stream()));
  attention.check(bench, name);
  bench.arithmetic(name, attention.operations(), 4,
                   [&](int) { attention.launch(1, nullptr, bench.stream()); });
}

void decode(Bench& bench, const Shape& shape, int n_sequences, int n_keys, int n_splits) {
  const std::string name = std::string("attention ") + shape.name + " of 1 token, " +
                           std::to_string(n_sequences) + " x " + std::to_string(n_keys) + ", " +
                           std::to_string(n_splits) + " splits";
  if (!bench.wanted(name)) return;
  const Attention attention(shape, n_sequences, n_keys, 1, cuda::kDecodeRows);
  const DeviceBuffer<float> partial(std::max(attention.partial_floats(n_splits), size_t{1}));
  const auto launch = [&](int) { attention.launch(n_splits, partial.data(), bench.stream()); };
  launch(0);
  test::must(cudaStreamSynchronize(bench.stream()));
  attention.check(bench, name);
  bench.memory(name, attention.bytes(), launch);
}

}  // namespace

void bench_attention(Bench& bench) {
  for (const Shape& shape : kShapes) {
    for (const int n_keys : {4096, 32768, 131072}) prefill(bench, shape, n_keys);
    // Eight sequences, so that the keys of the smaller shape do not fit into the cache.
    for (const int n_sequences : {1, 8})
      for (const int n_splits : {8, 16, 32, 64}) decode(bench, shape, n_sequences, 32768, n_splits);
  }
}

}  // namespace lectern::bench
