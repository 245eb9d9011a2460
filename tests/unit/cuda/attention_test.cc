#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/catch.h"
#include "tests/unit/cuda/attention_fixture.h"

using namespace lectern;
using namespace lectern::test;
using cuda::AttentionTask;
using cuda::kDecodeRows;
using cuda::kPageTokens;
using cuda::kPrefillRows;

namespace {

struct Task {
  int sequence;
  AttentionTask task;
};
// A part of a sequence: queries [begin, end) of it, cut into tasks.
struct Part {
  int begin, end;
  int succ_page = 0, intra_page = 0;
};
// Lists of pages by KV head; without any: all pages are read.
using Lists = std::vector<std::vector<int32_t>>;

struct Run {
  CacheShape shape;
  int group = 1, rows = kPrefillRows, n_splits = 1;
  std::vector<Part> parts;  // one a sequence
  Lists lists;
  bool wants_out = true;
};

std::vector<Task> cut(const Run& run, const PagedCache& cache) {
  std::vector<Task> tasks;
  int row = 0;
  for (size_t s = 0; s < run.parts.size(); ++s) {
    const Part& part = run.parts[s];
    for (int begin = part.begin; begin < part.end;) {
      const int n = std::min(run.rows / run.group, part.end - begin);
      const auto sequence = static_cast<int>(s);
      tasks.push_back({sequence,
                       {.row = row,
                        .n_queries = n,
                        .first_position = begin,
                        .page_table = cache.page_table(sequence),
                        .succ_page = part.succ_page,
                        .intra_page = part.intra_page,
                        .sparse = run.lists.empty() ? -1 : static_cast<int>(tasks.size())}});
      begin += n;
      row += n;
    }
  }
  return tasks;
}

// The greatest errors of the outputs, which bfloat16 rounds (2^-9 of their size), and of log_sum_exp.
struct Errors {
  double out = 0, log_sum_exp = 0;
};
Errors run_and_compare(const Run& run, uint64_t seed) {
  const int d = run.shape.head_dim, n_kv_heads = run.shape.n_kv_heads, n_heads = n_kv_heads * run.group;
  std::vector<int> n_keys;
  for (const Part& part : run.parts) n_keys.push_back(part.end);
  const PagedCache cache(run.shape, n_keys, seed);
  const std::vector<Task> tasks = cut(run, cache);
  const int n_rows = tasks.back().task.row + tasks.back().task.n_queries;
  const TestQueries queries(n_rows, n_heads, d, seed + 1000);
  std::vector<AttentionTask> device_tasks;
  for (const Task& task : tasks) device_tasks.push_back(task.task);
  const DeviceBuffer<AttentionTask> tasks_buffer(device_tasks);

  constexpr int kMaxPages = 16;
  std::vector<int32_t> lists(tasks.size() * static_cast<size_t>(n_kv_heads * kMaxPages), -7), lengths;
  for (size_t i = 0; !run.lists.empty() && i < tasks.size() * static_cast<size_t>(n_kv_heads); ++i) {
    const auto& list = run.lists[i % static_cast<size_t>(n_kv_heads)];
    // An empty list stands for one that fell back to all pages.
    lengths.push_back(list.empty() ? -1 : static_cast<int32_t>(list.size()));
    std::ranges::copy(list, lists.begin() + static_cast<std::ptrdiff_t>(i * kMaxPages));
  }
  const DeviceBuffer<int32_t> lists_buffer(lists), lengths_buffer(lengths);

  const auto n_out = static_cast<size_t>(n_rows) * static_cast<size_t>(n_heads * d);
  const DeviceBuffer<__nv_bfloat16> out(std::vector<__nv_bfloat16>(n_out, __float2bfloat16_rn(NAN)));
  const DeviceBuffer<float> log_sum_exp(tasks.size() * static_cast<size_t>(n_kv_heads * run.rows));
  const DeviceBuffer<float> partial(
      cuda::attention_partial_floats(static_cast<int>(tasks.size()), n_kv_heads, run.n_splits, run.rows, d));
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  cuda::attention({.q = {queries.device[0]->data(), queries.device[1]->data(), queries.device[2]->data()},
                   .kv = cache.layer(),
                   .n_heads = n_heads,
                   .pages = cache.page_tables(),
                   .tasks = tasks_buffer.data(),
                   .n_tasks = static_cast<int>(tasks.size()),
                   .rows = run.rows,
                   .n_splits = run.n_splits,
                   .partial = run.n_splits > 1 ? partial.data() : nullptr,
                   .sparse = {lists_buffer.data(), lengths_buffer.data(), kMaxPages},
                   .scale = scale,
                   .out = run.wants_out ? out.data() : nullptr,
                   .log_sum_exp = log_sum_exp.data()},
                  nullptr);
  const auto got = out.values();
  const auto log_sums = log_sum_exp.values();

  Errors worst;
  const auto note = [](double& worst_error, double error) {
    worst_error = std::isfinite(error) ? std::max(worst_error, error) : 1e30;
  };
  for (size_t t = 0; t < tasks.size(); ++t) {
    const AttentionTask& task = tasks[t].task;
    for (int kv_head = 0; kv_head < n_kv_heads; ++kv_head) {
      std::function<bool(int)> reads;
      if (!run.lists.empty() && !run.lists[static_cast<size_t>(kv_head)].empty())
        reads = [&pages = run.lists[static_cast<size_t>(kv_head)]](int key) {
          return std::ranges::count(pages, key / kPageTokens) > 0;
        };
      for (int r = 0; r < task.n_queries * run.group; ++r) {
        const int head = kv_head * run.group + r % run.group;
        const auto at =
            static_cast<size_t>((task.row + r / run.group) * n_heads + head) * static_cast<size_t>(d);
        const RowResult truth = attend_in_double(
            queries, at, cache.keys(tasks[t].sequence, kv_head), cache.values(tasks[t].sequence, kv_head),
            task, task.first_position + r / run.group, reads, d, double{scale});
        const double log_sum =
            double{log_sums[(t * static_cast<size_t>(n_kv_heads) + static_cast<size_t>(kv_head)) *
                                static_cast<size_t>(run.rows) +
                            static_cast<size_t>(r)]};
        note(worst.log_sum_exp, log_sum == truth.log_sum_exp ? 0 : std::abs(log_sum - truth.log_sum_exp));
        for (size_t i = 0; run.wants_out && i < truth.out.size(); ++i) {
          const double error = std::abs(double{__bfloat162float(got[at + i])} - truth.out[i]);
          note(worst.out, std::isfinite(error) ? std::max(0.0, error - std::abs(truth.out[i]) / 256) : error);
        }
      }
    }
  }
  if (!run.wants_out)
    for (const __nv_bfloat16 x : got) REQUIRE(std::isnan(__bfloat162float(x)));
  return worst;
}

// Weights are rounded to halves, 2^-12 of their size, and so are values times their scales; those are
// below 5.
void check(const Run& run, uint64_t seed = 1) {
  INFO("d " << run.shape.head_dim << " types " << static_cast<int>(run.shape.k_type)
            << static_cast<int>(run.shape.v_type) << " KV heads " << run.shape.n_kv_heads << " group "
            << run.group << " rows " << run.rows << " splits " << run.n_splits << " queries "
            << run.parts[0].begin << " to " << run.parts[0].end << " chunks " << run.parts[0].succ_page << ' '
            << run.parts[0].intra_page);
  const ThreadOrder order(next_order());
  const Errors errors = run_and_compare(run, seed);
  CHECK(errors.out < 2e-3);
  CHECK(errors.log_sum_exp < 2e-4 * static_cast<double>(run.shape.key_size));
}

}  // namespace

TEST_CASE("the double loop is the reference") {
  LECTERN_NEEDS_DEVICE();
  const CacheShape shape{.head_dim = 24};
  const PagedCache cache(shape, {200}, 3);
  const TestQueries queries(1, 1, 24, 4);
  const auto expected = reference::attention(queries.host[0].data(), cache.keys(0, 0).data(),
                                             cache.values(0, 0).data(), 150, 24, 0.2);
  const auto got =
      attend_in_double(queries, 0, cache.keys(0, 0), cache.values(0, 0), {}, 150, nullptr, 24, 0.2);
  for (size_t i = 0; i < expected.size(); ++i) CHECK(got.out[i] == Approx(expected[i]).margin(1e-6));
}

TEST_CASE("cuda attention equals the equations over groups and positions") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  for (const int rows : {kPrefillRows, kDecodeRows})
    for (const int group : {1, 2, 5, 6, 7})
      for (const int begin : {0, 1, 63, 127, 128, 190})
        check({.shape = {.n_kv_heads = 1 + begin % 2, .head_dim = d},
               .group = group,
               .rows = rows,
               .parts = {{begin, begin + (begin % 3 == 0 ? 1 : rows / group)}}});
}

TEST_CASE("cuda attention takes several tasks of several sequences and leaves their last tiles alone") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  check({.shape = {.n_kv_heads = 2, .head_dim = d}, .group = 7, .parts = {{0, 40}, {100, 141}, {255, 256}}});
  check({.shape = {.n_kv_heads = 2, .head_dim = d},
         .group = 6,
         .rows = kDecodeRows,
         .parts = {{5, 6}, {299, 304}, {64, 65}}});
}

TEST_CASE("cuda attention shares out pages among blocks, more than there are pages too") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  for (const int rows : {kPrefillRows, kDecodeRows})
    for (const int n_splits : {2, 5})
      for (const int begin : {0, 130, 375})
        check({.shape = {.n_kv_heads = 2, .head_dim = d},
               .group = 2,
               .rows = rows,
               .n_splits = n_splits,
               .parts = {{begin, begin + rows / 2}, {begin / 2, begin / 2 + 1}}});
}

TEST_CASE("cuda attention reads keys and values as bytes") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  const auto [k_type, v_type] =
      GENERATE(std::pair{KvType::kInt8, KvType::kInt8}, std::pair{KvType::kF16, KvType::kInt8},
               std::pair{KvType::kInt8, KvType::kF16});
  for (const int rows : {kPrefillRows, kDecodeRows})
    for (const int begin : {63, 130, 290})
      check({.shape = {.k_type = k_type, .v_type = v_type, .n_kv_heads = 2, .head_dim = d},
             .group = 5,
             .rows = rows,
             .n_splits = 1 + begin % 2,
             .parts = {{begin, begin + rows / 5}}});
}

TEST_CASE("cuda attention reads old chunks with the queries that are meant for them") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  const auto [succ_page, intra_page] =
      GENERATE(std::pair{0, 1}, std::pair{0, 3}, std::pair{1, 3}, std::pair{2, 3});
  for (const int rows : {kPrefillRows, kDecodeRows})
    for (const KvType type : {KvType::kF16, KvType::kInt8})
      for (const int n_splits : {type == KvType::kF16 ? 1 : 2, 5})
        check({.shape = {.k_type = type, .v_type = type, .n_kv_heads = 1, .head_dim = d},
               .group = 6,
               .rows = rows,
               .n_splits = n_splits,
               .parts = {{3 * kPageTokens, 3 * kPageTokens + 23, succ_page, intra_page}}});
}

TEST_CASE("cuda attention reads the pages of its lists") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  Lists lists = GENERATE(Lists{{0, 2, 3}, {0, 3}}, Lists{{1}, {}}, Lists{{0, 1, 2, 3, 4}, {2, 4}});
  const int begin = GENERATE(3 * kPageTokens, 3 * kPageTokens + 115);
  for (auto& list : lists)  // page 4 is there with the later queries only
    std::erase_if(list, [&](int32_t page) { return page > (begin + 17) / kPageTokens; });
  for (const int rows : {kPrefillRows, kDecodeRows})
    for (const int n_splits : {1, 5})
      check({.shape = {.n_kv_heads = 2, .head_dim = d},
             .group = 7,
             .rows = rows,
             .n_splits = n_splits,
             .parts = {{begin, begin + 18, 1, 2}},
             .lists = lists});
}

TEST_CASE("cuda attention without any key to read gives zeros") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128, 24);
  // Page 4 lies behind the queries of page 3, so that none of its keys may be seen.
  for (const int n_splits : {1, 2})
    check({.shape = {.n_kv_heads = 1, .head_dim = d},
           .group = 2,
           .n_splits = n_splits,
           .parts = {{3 * kPageTokens, 4 * kPageTokens + 1}},
           .lists = {{4}}});
}

TEST_CASE("cuda attention stands keys as large as Qwen2's biases make them") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128);
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  check({.shape = {.k_type = type, .v_type = type, .head_dim = d, .key_size = 400},
         .group = 7,
         .parts = {{250, 268}}});
}

TEST_CASE("cuda attention gives the sums alone where no output is wanted") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 24), n_splits = GENERATE(1, 3);
  check({.shape = {.n_kv_heads = 2, .head_dim = d},
         .group = 7,
         .rows = kDecodeRows,
         .n_splits = n_splits,
         .parts = {{500, 501}, {500, 502}},
         .wants_out = false});
}
