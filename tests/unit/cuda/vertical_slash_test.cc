#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <set>

#include "engine/vertical_slash.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/attention_fixture.h"

using namespace lectern;
using namespace lectern::test;
using cuda::AttentionTask;
using cuda::kColumnTile;
using cuda::kPageTokens;
using cuda::kPrefillRows;

namespace {

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

bool has_bit(const std::vector<uint32_t>& bits, int64_t i) {
  return (bits[at(i / 32)] >> (i % 32) & 1) != 0;
}

// Queries of consecutive positions as tasks of one sequence, cut where the chunk changes.
std::vector<AttentionTask> cut(int first_position, int n, int group, int chunk_pages, int page_table) {
  std::vector<AttentionTask> tasks;
  const int chunk = chunk_pages == 0 ? 1 << 30 : chunk_pages * kPageTokens;
  for (int begin = 0, end = 0; begin < n; begin = end) {
    const int position = first_position + begin, intra = position / chunk * chunk;
    end = begin + std::min({kPrefillRows / group, n - begin, intra + chunk - position});
    tasks.push_back({.row = begin,
                     .n_queries = end - begin,
                     .first_position = position,
                     .page_table = page_table,
                     .succ_page = std::max(intra - chunk, 0) / kPageTokens,
                     .intra_page = intra / kPageTokens,
                     .sparse = -1});
  }
  return tasks;
}

struct Sums {
  int head_dim, n_kv_heads, group, n_keys;
  KvType k_type = KvType::kF16;
  int n_queries = kEstimateQueries, chunk_pages = 0;
};

void check_sums(const Sums& s) {
  INFO("d " << s.head_dim << " KV heads " << s.n_kv_heads << " group " << s.group << " keys " << s.n_keys
            << " chunks of " << s.chunk_pages << " pages, bytes " << (s.k_type == KvType::kInt8));
  const ThreadOrder order(next_order());
  const int n_heads = s.n_kv_heads * s.group, first = s.n_keys - s.n_queries;
  const PagedCache cache({.k_type = s.k_type, .n_kv_heads = s.n_kv_heads, .head_dim = s.head_dim},
                         {300, s.n_keys}, 7);
  const TestQueries queries(s.n_queries, n_heads, s.head_dim, 1);
  const std::vector<AttentionTask> tasks =
      cut(first, s.n_queries, s.group, s.chunk_pages, cache.page_table(1));
  const DeviceBuffer<AttentionTask> device_tasks(tasks);
  const DeviceBuffer<float> log_sums(tasks.size() * at(s.n_kv_heads * kPrefillRows));
  cuda::AttentionArgs attention = {};
  for (int kind = 0; kind < kKeyChunks; ++kind) attention.q[kind] = queries.device[at(kind)]->data();
  attention.kv = cache.layer();
  attention.n_heads = n_heads;
  attention.pages = cache.page_tables();
  attention.tasks = device_tasks.data();
  attention.n_tasks = static_cast<int>(tasks.size());
  attention.rows = kPrefillRows;
  attention.n_splits = 1;
  attention.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  attention.log_sum_exp = log_sums.data();
  cuda::attention(attention, nullptr);
  const DeviceBuffer<float> columns(std::vector<float>(at(n_heads * s.n_keys), NAN)),
      diagonals(std::vector<float>(at(n_heads * s.n_keys), 0.0f));
  cuda::sum_columns({.attention = attention,
                     .first_position = first,
                     .n_keys = s.n_keys,
                     .columns = columns.data(),
                     .diagonals = diagonals.data()},
                    nullptr);
  const auto got_columns = columns.values(), got_diagonals = diagonals.values();

  double worst = 0;
  for (int head = 0; head < n_heads; ++head) {
    std::vector<double> by_column(at(s.n_keys), 0.0), by_distance(at(s.n_keys), 0.0);
    const std::vector<float>& keys = cache.keys(1, head / s.group);
    for (const AttentionTask& task : tasks)
      for (int i = 0; i < task.n_queries; ++i) {
        const int position = task.first_position + i;
        std::vector<double> weights;
        for (int j = 0; j <= position; ++j) {
          const float* q = queries.host[static_cast<int>(chunk_of(task, j / kPageTokens))].data() +
                           ((task.row + i) * n_heads + head) * s.head_dim;
          double dot = 0;
          for (int c = 0; c < s.head_dim; ++c) dot += double{q[c]} * double{keys[at(j * s.head_dim + c)]};
          weights.push_back(std::exp(dot * double{attention.scale}));
        }
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (int j = 0; j <= position; ++j) {
          by_column[at(j)] += weights[at(j)] / sum;
          by_distance[at(position - j)] += weights[at(j)] / sum;
        }
      }
    for (int i = 0; i < s.n_keys; ++i) {
      const auto error = [&](float got, double expected) {
        return std::isfinite(got) ? std::abs(double{got} - expected) / (1e-3 + expected) : 1e30;
      };
      worst = std::max(worst, error(got_columns[at(head * s.n_keys + i)], by_column[at(i)]));
      worst = std::max(worst, error(got_diagonals[at(head * s.n_keys + i)], by_distance[at(i)]));
    }
  }
  CHECK(worst < 1e-3);
}

// The largest by head, then united over its group.
std::vector<std::set<int>> largest_by_sorting(const std::vector<float>& values, int n,
                                              const std::vector<int>& budgets, int group, int n_forced) {
  std::vector<std::set<int>> united(budgets.size() / at(group));
  for (size_t head = 0; head < budgets.size(); ++head) {
    std::vector<float> own(values.begin() + static_cast<std::ptrdiff_t>(head) * n,
                           values.begin() + static_cast<std::ptrdiff_t>(head + 1) * n);
    std::fill_n(own.begin(), std::min(n, n_forced), INFINITY);
    std::vector<int> order(at(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return own[at(a)] > own[at(b)]; });
    order.resize(at(std::min(n, budgets[head])));
    united[head / at(group)].insert(order.begin(), order.end());
  }
  return united;
}

void check_largest(const std::vector<float>& values, int n, const std::vector<int>& budgets, int group,
                   int n_forced) {
  INFO("n " << n << " budget " << budgets[0] << " forced " << n_forced);
  const ThreadOrder order(next_order());
  std::vector<int32_t> pairs;
  for (const int budget : budgets) {
    pairs.push_back(-1);  // the other of the pair
    pairs.push_back(budget);
  }
  const int words = (n + 31) / 32 + 3, n_lists = static_cast<int>(budgets.size()) / group;
  const DeviceBuffer<float> device_values(values);
  const DeviceBuffer<int32_t> device_budgets(pairs);
  const DeviceBuffer<uint32_t> bits(std::vector<uint32_t>(at(n_lists * words), 0));
  cuda::keep_largest({.values = device_values.data(),
                      .n_heads = static_cast<int>(budgets.size()),
                      .group = group,
                      .n = n,
                      .budgets = device_budgets.data() + 1,
                      .n_forced = n_forced,
                      .bits = bits.data(),
                      .words = words},
                     nullptr);
  const auto got = bits.values();
  const auto expected = largest_by_sorting(values, n, budgets, group, n_forced);
  for (int list = 0; list < n_lists; ++list) {
    std::set<int> set;
    for (int i = 0; i < 32 * words; ++i)
      if (has_bit(got, int64_t{list} * 32 * words + i)) set.insert(i);
    CHECK(set == expected[at(list)]);
  }
}

}  // namespace

TEST_CASE("cuda sums attention along columns and diagonals") {
  LECTERN_NEEDS_DEVICE();
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  check_sums({.head_dim = 64, .n_kv_heads = 2, .group = 7, .n_keys = 700, .k_type = type});
  check_sums({.head_dim = 128, .n_kv_heads = 1, .group = 6, .n_keys = 5 * kPageTokens, .k_type = type});
  check_sums({.head_dim = 24, .n_kv_heads = 1, .group = 1, .n_keys = 449, .k_type = type});
  check_sums({.head_dim = 136, .n_kv_heads = 2, .group = 2, .n_keys = 200, .k_type = type, .n_queries = 9});
  // Queries of two chunks, over keys of all kinds.
  check_sums({.head_dim = 64,
              .n_kv_heads = 1,
              .group = 5,
              .n_keys = 4 * kPageTokens + 20,
              .k_type = type,
              .chunk_pages = 1});
}

TEST_CASE("cuda turns queries further") {
  LECTERN_NEEDS_DEVICE();
  constexpr int kRows = 9, kHeads = 3, kHeadDim = 24, kHalf = kHeadDim / 2;
  const TestQueries queries(kRows, kHeads, kHeadDim, 1);
  const std::vector<float> cos_sin = random_normal(kHeadDim, 2);
  const DeviceBuffer<float> device_cos_sin(cos_sin);
  const DeviceBuffer<__half> out(at(kRows * kHeads * kHeadDim));
  cuda::turn_queries(queries.device[0]->data(), kRows, kHeads, kHeadDim, device_cos_sin.data(), out.data(),
                     nullptr);
  const auto got = out.values();
  for (int row = 0; row < kRows * kHeads; ++row)
    for (int i = 0; i < kHalf; ++i) {
      const float x = queries.host[0][at(row * kHeadDim + i)],
                  y = queries.host[0][at(row * kHeadDim + i + kHalf)];
      const float c = cos_sin[at(i)], s = cos_sin[at(i + kHalf)];
      CHECK(__half2float(got[at(row * kHeadDim + i)]) == Approx(x * c - y * s).margin(1e-2));
      CHECK(__half2float(got[at(row * kHeadDim + i + kHalf)]) == Approx(y * c + x * s).margin(1e-2));
    }
}

TEST_CASE("cuda keeps the largest values, of equal ones the first") {
  LECTERN_NEEDS_DEVICE();
  std::mt19937 random(5);
  for (const int n : {1, 31, 100, 1000, 5003}) {
    std::vector<float> values;
    for (int i = 0; i < 4 * n; ++i) values.push_back(std::exp(std::normal_distribution<float>(0, 4)(random)));
    check_largest(values, n, {n / 3, 7, n / 2, 1}, 2, 0);
    check_largest(values, n, {n / 3, 40, n, 2 * n}, 1, 30);
    check_largest(values, n, {0, 0, 20, 30}, 2, 30);  // budgets that the forced ones use up
    // Most values are equal: sums that are nothing at all.
    for (float& value : values) value = value > 20 ? std::floor(value) : 0.0f;
    check_largest(values, n, {n / 2, n / 5, n - 1, 3}, 2, 10);
  }
}

namespace {

// Wanted columns and diagonals of a sequence's KV heads.
struct Wanted {
  std::vector<std::set<int>> columns, diagonals;
};

Wanted some_wanted(int n_kv_heads, int n_keys, int n_columns, int n_diagonals) {
  std::mt19937 random(11);
  Wanted wanted;
  for (int head = 0; head < n_kv_heads; ++head) {
    std::set<int> columns, diagonals;
    for (int i = 0; i < n_columns; ++i) columns.insert(static_cast<int>(random() % at(n_keys)));
    for (int i = 0; i < n_diagonals; ++i) diagonals.insert(static_cast<int>(random() % at(n_keys)));
    for (int i = 0; i < kPageTokens / 2; ++i)
      columns.insert((3 + head) * kPageTokens + 2 * i);  // half a page
    for (int i = 0; i < 20; ++i) diagonals.insert(i);
    wanted.columns.push_back(columns);
    wanted.diagonals.push_back(diagonals);
  }
  return wanted;
}

std::vector<uint32_t> bits_of(const std::vector<std::set<int>>& sets, int words) {
  std::vector<uint32_t> bits(sets.size() * at(words), 0);
  for (size_t i = 0; i < sets.size(); ++i)
    for (const int bit : sets[i]) bits[i * at(words) + at(bit / 32)] |= 1u << bit % 32;
  return bits;
}

// The pages that a task reads whole: the rule, query by query.
std::set<int> whole_pages(const Wanted& wanted, int kv_head, const AttentionTask& task) {
  const int last = task.first_position + task.n_queries - 1;
  std::set<int> pages;
  for (int page = task.first_position / kPageTokens; page <= last / kPageTokens; ++page) pages.insert(page);
  for (int t = task.first_position; t <= last; ++t)
    for (const int distance : wanted.diagonals[at(kv_head)])
      if (distance <= t) pages.insert((t - distance) / kPageTokens);
  std::vector<int> counts(at(last / kPageTokens + 1), 0);
  for (const int column : wanted.columns[at(kv_head)])
    if (column / kPageTokens <= last / kPageTokens) ++counts[at(column / kPageTokens)];
  for (size_t page = 0; page < counts.size(); ++page)
    if (counts[page] >= kPageTokens / 2) pages.insert(static_cast<int>(page));
  return pages;
}

struct Choice {
  CacheShape shape;
  int group = 2, n_splits = 1, chunk_pages = 0;
};

// Over two sequences, each with keys of its own and the last 200 queries sparse.
void check_choice(const Choice& c) {
  INFO("d " << c.shape.head_dim << " types " << static_cast<int>(c.shape.k_type)
            << static_cast<int>(c.shape.v_type) << " splits " << c.n_splits << " chunks of " << c.chunk_pages
            << " pages");
  const ThreadOrder order(next_order());
  const int d = c.shape.head_dim, n_kv_heads = c.shape.n_kv_heads, n_heads = n_kv_heads * c.group;
  const std::vector<int> n_keys = {20 * kPageTokens + 77, 13 * kPageTokens};
  constexpr int kQueries = 200, kMaxPages = 21, kMaxTiles = 24;
  const PagedCache cache(c.shape, n_keys, 3);
  const TestQueries queries(2 * kQueries, n_heads, d, 9);

  std::vector<AttentionTask> tasks;
  std::vector<int> first_task;
  for (int part = 0; part < 2; ++part) {
    first_task.push_back(static_cast<int>(tasks.size()));
    for (AttentionTask task :
         cut(n_keys[at(part)] - kQueries, kQueries, c.group, c.chunk_pages, cache.page_table(part))) {
      task.row += part * kQueries;
      task.sparse = static_cast<int>(tasks.size());
      task.part = part;
      tasks.push_back(task);
    }
  }
  first_task.push_back(static_cast<int>(tasks.size()));
  const DeviceBuffer<AttentionTask> device_tasks(tasks);
  const size_t n_lists = tasks.size() * at(n_kv_heads);
  const DeviceBuffer<int32_t> lists(n_lists * kMaxPages), lengths(n_lists), tiles(n_lists * kMaxTiles),
      n_tiles(n_lists), part_tiles(at(n_kv_heads)), positions(at(2 * n_kv_heads * kMaxTiles * kColumnTile));
  const DeviceBuffer<uint32_t> whole(n_lists), dense(at(n_kv_heads));
  cuda::GatheredColumns gathered = {};
  gathered.kv = cache.layer();
  gathered.kv.k.offset = 0;
  gathered.kv.v.offset = at(n_kv_heads) * gathered.kv.k.head_bytes;
  gathered.kv.page_bytes = gathered.kv.v.offset + at(n_kv_heads) * gathered.kv.v.head_bytes;
  const DeviceBuffer<std::byte> pages(
      std::vector<std::byte>(2 * kMaxTiles / 2 * gathered.kv.page_bytes, std::byte{0xff}));
  gathered.kv.pages = pages.data();
  gathered.positions = positions.data();
  gathered.max_tiles = kMaxTiles;
  gathered.tiles = tiles.data();
  gathered.n_tiles = n_tiles.data();
  gathered.whole = whole.data();
  gathered.words = 1;

  const DeviceBuffer<__nv_bfloat16> out(at(2 * kQueries * n_heads * d));
  const DeviceBuffer<float> partial(cuda::attention_partial_floats(static_cast<int>(tasks.size()), n_kv_heads,
                                                                   c.n_splits, kPrefillRows, d));
  cuda::AttentionArgs args = {};
  for (int kind = 0; kind < kKeyChunks; ++kind) args.q[kind] = queries.device[at(kind)]->data();
  args.kv = cache.layer();
  args.n_heads = n_heads;
  args.pages = cache.page_tables();
  args.rows = kPrefillRows;
  args.n_splits = c.n_splits;
  args.partial = c.n_splits > 1 ? partial.data() : nullptr;
  args.sparse = {lists.data(), lengths.data(), kMaxPages};
  args.gathered = gathered;
  args.scale = 1.0f / std::sqrt(static_cast<float>(d));
  args.out = out.data();

  std::vector<Wanted> wanted;
  for (int part = 0; part < 2; ++part) {
    const int n_pages = (n_keys[at(part)] - 1) / kPageTokens + 1, words = 4 * n_pages;
    wanted.push_back(some_wanted(n_kv_heads, n_keys[at(part)], 330 - 200 * part, 4));
    const DeviceBuffer<uint32_t> columns(bits_of(wanted.back().columns, words)),
        diagonals(bits_of(wanted.back().diagonals, words));
    cuda::gather_columns({.kv = args.kv,
                          .pages = args.pages + cache.page_table(part),
                          .columns = columns.data(),
                          .n_pages = n_pages,
                          .chunk_pages = c.chunk_pages == 0 ? n_pages : c.chunk_pages,
                          .gathered = gathered,
                          .part = part,
                          .n_tiles = part_tiles.data(),
                          .dense = dense.data()},
                         nullptr);
    args.tasks = device_tasks.data() + first_task[at(part)];
    args.n_tasks = first_task[at(part) + 1] - first_task[at(part)];
    cuda::choose_keys({.attention = args,
                       .diagonals = diagonals.data(),
                       .diagonal_words = words,
                       .dense = dense.data(),
                       .n_tiles = part_tiles.data()},
                      nullptr);
  }
  args.tasks = device_tasks.data();
  args.n_tasks = static_cast<int>(tasks.size());
  cuda::attention(args, nullptr);
  const auto got = out.values();
  const auto got_lists = lists.values(), got_lengths = lengths.values(), got_n_tiles = n_tiles.values(),
             got_tiles = tiles.values(), got_positions = positions.values();

  double worst = 0;
  int n_read_alone = 0;
  for (const AttentionTask& task : tasks)
    for (int kv_head = 0; kv_head < n_kv_heads; ++kv_head) {
      const int list = task.sparse * n_kv_heads + kv_head;
      const std::set<int> expected = whole_pages(wanted[at(task.part)], kv_head, task);
      const auto begin = got_lists.begin() + list * kMaxPages;
      CHECK(std::vector<int>(begin, begin + got_lengths[at(list)]) ==
            std::vector<int>(expected.begin(), expected.end()));
      const auto is_alone = [&](int key) {
        return key >= 0 && key < task.first_position && !expected.contains(key / kPageTokens) &&
               wanted[at(task.part)].columns[at(kv_head)].contains(key);
      };
      const auto reads = [&](int key) { return expected.contains(key / kPageTokens) || is_alone(key); };
      // No tile is read in vain.
      REQUIRE((got_n_tiles[at(list)] > 0 && got_n_tiles[at(list)] <= kMaxTiles));
      for (int i = 0; i < got_n_tiles[at(list)]; ++i) {
        const int32_t* of_tile = got_positions.data() + ((task.part * n_kv_heads + kv_head) * kMaxTiles +
                                                         got_tiles[at(list * kMaxTiles + i)]) *
                                                            kColumnTile;
        CHECK(std::any_of(of_tile, of_tile + kColumnTile, is_alone));
        n_read_alone += static_cast<int>(std::count_if(of_tile, of_tile + kColumnTile, is_alone));
      }
      for (int r = 0; r < task.n_queries * c.group; r += 7) {
        const int64_t row =
            ((task.row + r / c.group) * n_heads + kv_head * c.group + r % c.group) * int64_t{d};
        const RowResult truth = attend_in_double(
            queries, at(row), cache.keys(task.part, kv_head), cache.values(task.part, kv_head), task,
            task.first_position + r / c.group, reads, d, double{args.scale});
        for (int i = 0; i < d; ++i) {
          const double error = std::abs(double{__bfloat162float(got[at(row + i)])} - truth.out[at(i)]);
          worst = std::isfinite(error) ? std::max(worst, error - std::abs(truth.out[at(i)]) / 256) : 1e30;
        }
      }
    }
  CHECK(n_read_alone > 500);
  CHECK(worst < 2e-3);
}

}  // namespace

TEST_CASE("cuda reads whole pages and gathered columns, each key once") {
  LECTERN_NEEDS_DEVICE();
  check_choice({.shape = {.n_kv_heads = 2, .head_dim = 64}});
  check_choice({.shape = {.n_kv_heads = 1, .head_dim = 128}, .group = 7});
  check_choice(
      {.shape = {.k_type = KvType::kInt8, .v_type = KvType::kInt8, .n_kv_heads = 2, .head_dim = 64}});
  check_choice({.shape = {.v_type = KvType::kInt8, .n_kv_heads = 1, .head_dim = 128}, .n_splits = 2});
  check_choice({.shape = {.n_kv_heads = 2, .head_dim = 24}, .n_splits = 4});
  check_choice({.shape = {.k_type = KvType::kInt8, .n_kv_heads = 1, .head_dim = 24}, .chunk_pages = 5});
  check_choice({.shape = {.n_kv_heads = 2, .head_dim = 64}, .n_splits = 4, .chunk_pages = 3});
}
