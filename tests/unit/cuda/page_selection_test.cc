#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/page_selection.h"
#include "kernels/cpu/dispatch.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/attention_fixture.h"

using namespace lectern;
using namespace lectern::test;
using cuda::AttentionTask;
using cuda::kPageTokens;
using cuda::kPrefillRows;

namespace {

struct Selection {
  int head_dim, n_kv_heads, group;
  int first_position, n_queries;
  int succ_page = 0, intra_page = 0;
  float threshold = 0.3f, size = 1;
  bool two_tasks = true;
};

// The masses of the pages [first, last) for one head, in double precision.
std::vector<double> masses_of(const TestQueries& queries, const std::vector<float>& means, const Selection& s,
                              const AttentionTask& task, int kv_head, int head, int first, int last) {
  const int n_heads = s.n_kv_heads * s.group;
  std::vector<double> masses(static_cast<size_t>(last - first));
  for (int i = 0; i < task.n_queries; ++i) {
    const auto at = static_cast<size_t>(((task.row + i) * n_heads + kv_head * s.group + head) * s.head_dim);
    std::vector<float> scores;
    for (int page = first; page < last; ++page) {
      const float* q = queries.host[static_cast<int>(chunk_of(task, page))].data() + at;
      const float* mean = means.data() + static_cast<size_t>((page * s.n_kv_heads + kv_head) * s.head_dim);
      double dot = 0;
      for (int c = 0; c < s.head_dim; ++c) dot += double{q[c]} * double{mean[c]};
      scores.push_back(static_cast<float>(dot / std::sqrt(s.head_dim)));
    }
    const auto weights = reference::softmax(scores.data(), last - first, nullptr);
    for (size_t p = 0; p < masses.size(); ++p) masses[p] += weights[p];
  }
  return masses;
}

// The pages that the engine's rule takes on the CPU.
std::vector<int32_t> select_on_cpu(const TestQueries& queries, const std::vector<float>& means,
                                   const Selection& s, const AttentionTask& task, int kv_head, int end) {
  const auto at = static_cast<std::ptrdiff_t>((task.row * s.n_kv_heads + kv_head) * s.group * s.head_dim);
  std::vector<float> of_head;
  for (int page = 0; page < end; ++page)
    for (int c = 0; c < s.head_dim; ++c)
      of_head.push_back(means[static_cast<size_t>((page * s.n_kv_heads + kv_head) * s.head_dim + c)]);
  std::vector<int32_t> pages(static_cast<size_t>(end));
  AttentionArgs args = {};
  args.q = queries.host[0].data() + at;
  args.q_succ = queries.host[1].data() + at;
  args.q_inter = queries.host[2].data() + at;
  args.q_stride = s.n_kv_heads * s.group * s.head_dim;
  args.n_queries = task.n_queries;
  args.group = s.group;
  args.head_dim = s.head_dim;
  args.page_tokens = kPageTokens;
  args.first_position = task.first_position;
  args.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  args.succ_page = task.succ_page;
  args.intra_page = task.intra_page;
  pages.resize(static_cast<size_t>(
      select_pages(active_kernel_table(), args, of_head.data(), s.threshold, pages.data())));
  return pages;
}

// Of the queries given, and of as many after them.
void check(const Selection& s) {
  INFO("d " << s.head_dim << " KV heads " << s.n_kv_heads << " group " << s.group << " queries "
            << s.n_queries << " from " << s.first_position << " chunks " << s.succ_page << ' '
            << s.intra_page);
  const ThreadOrder order(next_order());
  const int n_heads = s.n_kv_heads * s.group,
            max_pages = (s.first_position + 2 * s.n_queries) / kPageTokens + 1;
  const TestQueries queries(2 * s.n_queries, n_heads, s.head_dim, 1);
  std::vector<float> means = random_normal(static_cast<size_t>(max_pages * s.n_kv_heads * s.head_dim), 2);
  for (float& x : means) x *= s.size;
  const AttentionTask whole = {.n_queries = s.n_queries,
                               .first_position = s.first_position,
                               .succ_page = s.succ_page,
                               .intra_page = s.intra_page,
                               .sparse = 1};
  AttentionTask next = whole;
  next.row = s.n_queries;
  next.first_position += s.n_queries;
  next.sparse = 0;
  std::vector<AttentionTask> tasks = {next, whole};
  if (!s.two_tasks) tasks.erase(tasks.begin());
  const DeviceBuffer<AttentionTask> device_tasks(tasks);
  const DeviceBuffer<float> device_means(means);
  const auto n_lists = static_cast<size_t>(2 * s.n_kv_heads);
  const DeviceBuffer<int32_t> lists(n_lists * static_cast<size_t>(max_pages)), lengths(n_lists);
  cuda::AttentionArgs args = {};
  for (int kind = 0; kind < kKeyChunks; ++kind)
    args.q[kind] = queries.device[static_cast<size_t>(kind)]->data();
  args.kv.n_kv_heads = s.n_kv_heads;
  args.kv.head_dim = s.head_dim;
  args.n_heads = n_heads;
  args.tasks = device_tasks.data();
  args.n_tasks = static_cast<int>(tasks.size());
  args.rows = kPrefillRows;
  args.n_splits = 1;
  args.sparse = {lists.data(), lengths.data(), max_pages};
  args.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  cuda::select_pages({.attention = args, .means = device_means.data(), .threshold = s.threshold}, nullptr);
  const auto got_lists = lists.values(), got_lengths = lengths.values();

  for (const AttentionTask& task : tasks)
    for (int kv_head = 0; kv_head < s.n_kv_heads; ++kv_head) {
      const int begin = task.first_position / kPageTokens;
      const int end = (task.first_position + task.n_queries - 1) / kPageTokens + 1;
      const auto at = static_cast<std::ptrdiff_t>(task.sparse * s.n_kv_heads + kv_head);
      const int n = got_lengths[static_cast<size_t>(at)];
      REQUIRE((n > 0 && n <= max_pages));
      const auto list = got_lists.begin() + at * max_pages;
      const std::vector<int32_t> got(list, list + n);
      const std::vector<int32_t> expected = select_on_cpu(queries, means, s, task, kv_head, end);
      CHECK(std::ranges::is_sorted(got));
      // Where the two differ, the page's mass is the threshold's, but for rounding.
      std::vector<int32_t> different;
      std::ranges::set_symmetric_difference(got, expected, std::back_inserter(different));
      const int first = std::min(kSinkPages, begin), last = std::max(begin - kLocalPages + 1, first);
      for (const int32_t page : different) {
        CHECK((page >= first && page < last));
        bool borderline = false;
        for (int head = 0; head < s.group; ++head) {
          const auto masses = masses_of(queries, means, s, task, kv_head, head, first, last);
          const double least = double{s.threshold} * *std::ranges::max_element(masses);
          borderline |= std::abs(masses[static_cast<size_t>(page - first)] / least - 1) < 1e-3;
        }
        INFO("page " << page);
        CHECK(borderline);
      }
      CHECK(different.size() <= 1 + expected.size() / 200);
    }
}

}  // namespace

TEST_CASE("cuda selects the pages that the engine's rule takes") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(24, 64, 128, 136);
  for (const int group : {1, 6, 7}) {
    if (d == 136 && group != 7) continue;
    const int n = kPrefillRows / group;
    for (const int page : {0, 1, 4, 5, 68, 140}) {
      if (page > 5 && (page == 68) != (group == 6)) continue;
      check({.head_dim = d,
             .n_kv_heads = 1 + page % 2,
             .group = group,
             .first_position = page * kPageTokens + 3,
             .n_queries = page == 5 ? 1 : n});
    }
    check({.head_dim = d,
           .n_kv_heads = 2,
           .group = group,
           .first_position = 100 * kPageTokens - n,
           .n_queries = n,
           .threshold = 0.05f,
           .size = 3});
  }
}

TEST_CASE("cuda selects pages of old chunks with the queries that are meant for them") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(64, 128);
  for (const auto& [succ, intra] :
       {std::pair{0, 50}, std::pair{30, 100}, std::pair{64, 128}, std::pair{0, 138}})
    check({.head_dim = d,
           .n_kv_heads = 2,
           .group = 7,
           .first_position = 140 * kPageTokens,
           .n_queries = 18,
           .succ_page = succ,
           .intra_page = intra});
}

TEST_CASE("cuda selects among as many pages as a million tokens have") {
  LECTERN_NEEDS_DEVICE();
  check({.head_dim = 64,
         .n_kv_heads = 1,
         .group = 7,
         .first_position = 8190 * kPageTokens,
         .n_queries = 18,
         .threshold = 0.2f,
         .two_tasks = false});
}

TEST_CASE("cuda takes the mean keys of pages") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(24, 64, 128, 256);
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  const CacheShape shape{.k_type = type, .n_kv_heads = 2, .head_dim = d};
  const PagedCache cache(shape, {3 * kPageTokens + 5}, 1);
  const DeviceBuffer<float> means(static_cast<size_t>(3 * 2 * d));
  cuda::page_means(cache.layer(), cache.page_tables(), 3, means.data(), nullptr);
  const auto got = means.values();
  for (int page = 0; page < 3; ++page)
    for (int head = 0; head < 2; ++head)
      for (int c = 0; c < d; ++c) {
        double sum = 0;
        for (int t = 0; t < kPageTokens; ++t)
          sum += double{cache.keys(0, head)[static_cast<size_t>((page * kPageTokens + t) * d + c)]};
        CHECK(got[static_cast<size_t>((page * 2 + head) * d + c)] == Approx(sum / kPageTokens).margin(1e-5));
      }
}

TEST_CASE("cuda reads all pages of a KV head whose sampled query lost too much") {
  LECTERN_NEEDS_DEVICE();
  const int rows = 16, group = 3, n_kv_heads = 4, n_lists = 5;
  std::vector<float> few(static_cast<size_t>(n_kv_heads * rows), NAN), all = few;
  const float kept[n_kv_heads][group] = {{1, 1, 0.7f}, {1, 0.9f, 0.5f}, {0, 1, 1}, {NAN, 1, 1}};
  for (int head = 0; head < n_kv_heads; ++head)
    for (int r = 0; r < group; ++r) {
      all[static_cast<size_t>(head * rows + r)] = 3.0f + static_cast<float>(r);
      few[static_cast<size_t>(head * rows + r)] = 3.0f + static_cast<float>(r) + std::log(kept[head][r]);
    }
  const DeviceBuffer<float> device_few(few), device_all(all), recall(n_kv_heads);
  const DeviceBuffer<int32_t> lengths(std::vector<int32_t>(n_lists * n_kv_heads, 7));
  cuda::fall_back(device_few.data(), device_all.data(), n_kv_heads, rows, group, 0.85f, 1, 3,
                  {nullptr, lengths.data(), 100}, recall.data(), nullptr);
  const auto got = lengths.values();
  for (int list = 0; list < n_lists; ++list)
    for (int head = 0; head < n_kv_heads; ++head)
      CHECK(got[static_cast<size_t>(list * n_kv_heads + head)] ==
            (list >= 1 && list < 4 && head > 0 ? -1 : 7));
  CHECK(recall.values()[0] == Approx(0.9));
  CHECK(recall.values()[1] == Approx(0.8));
  CHECK(recall.values()[2] == Approx(2.0 / 3));
  CHECK(std::isnan(recall.values()[3]));
}
