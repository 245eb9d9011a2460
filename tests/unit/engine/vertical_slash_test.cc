#include "engine/vertical_slash.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>

#include "engine/kv_cache.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/reference/dequantize.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

constexpr int32_t kPage = kKvPageTokens, kHeadDim = 16, kGroup = 2;
constexpr int32_t kNumbers = kGroup * kHeadDim;  // of a query

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

std::vector<float> random_numbers(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> numbers(at(n));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

// Keys or values of one KV head as the cache has them.
struct Side {
  Side(std::vector<float> numbers, KvType kv_type) : type(kv_type) {
    const KernelTable& kernels = active_kernel_table();
    const size_t n = numbers.size() / kHeadDim, n_pages = (n + kPage - 1) / kPage;
    const size_t bytes = kPage * (type == KvType::kInt8 ? kHeadDim + 4 : 2 * kHeadDim);
    storage.assign(n_pages, std::vector<std::byte>(bytes));
    for (size_t key = 0; key < n; ++key) {
      std::byte* page = storage[key / kPage].data();
      const float* from = numbers.data() + key * kHeadDim;
      const size_t slot = key % kPage;
      if (type == KvType::kInt8) {
        auto* scale = reinterpret_cast<float*>(page + kPage * kHeadDim) + slot;
        auto* to = reinterpret_cast<int8_t*>(page) + slot * kHeadDim;
        kernels.to_int8(from, kHeadDim, to, scale);
        for (int i = 0; i < kHeadDim; ++i) kept.push_back(double{*scale} * to[i]);
      } else {
        auto* to = reinterpret_cast<uint16_t*>(page) + slot * kHeadDim;
        kernels.to_half(from, kHeadDim, to);
        for (int i = 0; i < kHeadDim; ++i) kept.push_back(half_to_float(to[i]));
      }
    }
    for (const auto& page : storage) pages.push_back(page.data());
  }
  const double* operator[](int32_t key) const { return kept.data() + at(key) * kHeadDim; }

  KvType type;
  std::vector<std::vector<std::byte>> storage;
  std::vector<const void*> pages;
  std::vector<double> kept;  // as rounded
};

// q . k with the query rotated to `position` from its unrotated numbers.
double rotated_dot(const float* q, double position, double theta, const double* k) {
  double sum = 0;
  for (int i = 0; i < kHeadDim / 2; ++i) {
    const double angle = position * std::pow(theta, -2.0 * i / kHeadDim);
    const double a = q[i], b = q[i + kHeadDim / 2];
    sum += (a * std::cos(angle) - b * std::sin(angle)) * k[i];
    sum += (b * std::cos(angle) + a * std::sin(angle)) * k[i + kHeadDim / 2];
  }
  return sum;
}

Qwen2Config rope_config(bool dual) {
  Qwen2Config config;
  config.head_dim = kHeadDim;
  config.rope_theta = 10000.0f;
  if (dual) config.dual_chunk_attention = DualChunkAttention{192, 64, 0};  // key chunks of 128 tokens
  return config;
}

// The last 64 queries over n_keys keys, and what they attend to, from the equations.
struct Estimated {
  Estimated(int32_t n_keys, bool dual, KvType type) : n(n_keys), rope(rope_config(dual)) {
    const KernelTable& kernels = active_kernel_table();
    std::vector<float> cos_sin(kHeadDim), keys = random_numbers(int64_t{n} * kHeadDim, 1);
    for (int32_t j = 0; j < n; ++j) {
      rope.fill_key(j, cos_sin.data());
      kernels.rope(keys.data() + j * kHeadDim, cos_sin.data(), 1, kHeadDim);
    }
    k = std::make_unique<Side>(keys, type);
    const std::vector<float> raw = random_numbers(kEstimateQueries * kNumbers, 2);
    q = raw;
    args.first_position = n - kEstimateQueries;
    for (int32_t i = 0; i < kEstimateQueries; ++i) {
      rope.fill_query(args.first_position + i, KeyChunk::kIntra, cos_sin.data());
      kernels.rope(q.data() + i * kNumbers, cos_sin.data(), kGroup, kHeadDim);
    }
    args.q = q.data();
    args.q_stride = kNumbers;
    args.n_queries = kEstimateQueries;
    args.group = kGroup;
    args.head_dim = kHeadDim;
    args.k_pages = k->pages.data();
    args.k_type = type;
    args.page_tokens = kPage;
    args.scale = 0.25f;

    columns.assign(kGroup, std::vector<double>(at(n), 0.0));
    diagonals = columns;
    for (int32_t i = 0; i < kEstimateQueries; ++i)
      for (int32_t g = 0; g < kGroup; ++g) add_row(i, g, raw.data() + i * kNumbers + g * kHeadDim);
  }
  Estimated(const Estimated&) = delete;  // `args` points into it

  void add_row(int32_t i, int32_t g, const float* query) {
    const int32_t position = args.first_position + i, chunk = rope.chunk_tokens();
    std::vector<double> weights;
    for (int32_t j = 0; j <= position; ++j) {
      double critical = position;
      if (chunk > 0) {
        const int apart = position / chunk - j / chunk;
        critical = position % chunk + (apart == 0 ? 0 : apart == 1 ? chunk : 192);
      }
      weights.push_back(std::exp(0.25 * rotated_dot(query, critical, 10000.0, (*k)[j])));
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (int32_t j = 0; j <= position; ++j) {
      columns[at(g)][at(j)] += weights[at(j)] / sum;
      diagonals[at(g)][at(position - j)] += weights[at(j)] / sum;
    }
  }

  VerticalSlash estimate(const std::vector<VerticalSlashBudget>& budgets, int n_threads = 2) const {
    ThreadPool pool(n_threads);
    CpuOps ops(active_kernel_table(), pool);
    return estimate_vertical_slash(ops, rope, args, budgets);
  }

  int32_t n;
  Rope rope;
  std::unique_ptr<Side> k;
  std::vector<float> q;
  AttentionArgs args{};
  std::vector<std::vector<double>> columns, diagonals;  // sums, by head
};

// `got` are the largest `budgets` of each head's sums, the first n_forced among them; what is on the border
// within rounding may go either way.
void check_largest(const std::vector<int32_t>& got, std::vector<std::vector<double>> sums,
                   const std::vector<int>& budgets, int n_forced) {
  CHECK(std::is_sorted(got.begin(), got.end()));
  CHECK(std::adjacent_find(got.begin(), got.end()) == got.end());
  std::vector<double> least;
  for (size_t g = 0; g < sums.size(); ++g) {
    std::fill_n(sums[g].begin(), n_forced, 1e9);
    std::vector<double> sorted = sums[g];
    std::sort(sorted.rbegin(), sorted.rend());
    least.push_back(sorted[at(budgets[g]) - 1]);
  }
  int n_wrong = 0;
  for (size_t i = 0; i < sums[0].size(); ++i) {
    bool needed = false, possible = false;
    for (size_t g = 0; g < sums.size(); ++g) {
      needed |= sums[g][i] > least[g] * (1 + 1e-4);
      possible |= sums[g][i] > least[g] * (1 - 1e-4);
    }
    const bool chosen = std::binary_search(got.begin(), got.end(), static_cast<int32_t>(i));
    if (chosen ? !possible : needed) ++n_wrong;
  }
  CHECK(n_wrong == 0);
}

}  // namespace

TEST_CASE("vertical-slash: columns and diagonals are the largest sums of the equations") {
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  const bool dual = GENERATE(false, true);
  // Over several ranges of pages; with queries of one key chunk and of two.
  const int32_t n_keys = GENERATE(700, 5 * 128 + 20, 20 * 128 + 100);
  const Estimated estimated(n_keys, dual, type);
  const VerticalSlash got = estimated.estimate({{60, 150}, {45, 120}});
  INFO("dual " << dual << " keys " << n_keys << " bytes " << (type == KvType::kInt8));
  check_largest(got.columns, estimated.columns, {60, 45}, kSinkColumns);
  check_largest(got.diagonals, estimated.diagonals, {150, 120}, kNearDiagonals);
  CHECK(got.columns[29] == 29);
  CHECK(got.diagonals[99] == 99);
}

TEST_CASE("vertical-slash: critical positions are not the clamped ones") {
  const Estimated plain(700, false, KvType::kF16), dual(700, true, KvType::kF16);
  CHECK(plain.estimate({{60, 150}, {45, 120}}).diagonals != dual.estimate({{60, 150}, {45, 120}}).diagonals);
}

TEST_CASE("vertical-slash: budgets beyond the text take all of it and threads make no difference") {
  const Estimated estimated(20 * 128 + 100, false, KvType::kF16);
  std::vector<int32_t> all(at(estimated.n));
  std::iota(all.begin(), all.end(), 0);
  const VerticalSlash got = estimated.estimate({{1 << 26, 1 << 26}, {1, 1}});
  CHECK(got.columns == all);
  CHECK(got.diagonals == all);
  const auto one = estimated.estimate({{300, 200}, {30, 100}}, 1),
             three = estimated.estimate({{300, 200}, {30, 100}}, 3);
  CHECK(one.columns == three.columns);
  CHECK(one.diagonals == three.diagonals);
}

namespace {

// A block of queries over random keys and values.
struct Block {
  Block(int32_t first_position, int32_t n_queries, KvType k_type, KvType v_type)
      : k(random_numbers(int64_t{first_position + n_queries} * kHeadDim, 3), k_type),
        v(random_numbers(int64_t{first_position + n_queries} * kHeadDim, 4), v_type) {
    for (uint32_t kind = 0; kind < kKeyChunks; ++kind)
      q[kind] = random_numbers(n_queries * kNumbers, 5 + kind);
    args.q = q[0].data();
    args.q_stride = args.out_stride = kNumbers;
    args.n_queries = n_queries;
    args.group = kGroup;
    args.head_dim = kHeadDim;
    args.k_pages = k.pages.data();
    args.v_pages = v.pages.data();
    args.k_type = k_type;
    args.v_type = v_type;
    args.page_tokens = kPage;
    args.first_position = first_position;
    args.scale = 0.25f;
    args.n_pages = static_cast<int32_t>(k.pages.size());
  }
  Block(const Block&) = delete;

  void cut_into_chunks(int32_t succ_page, int32_t intra_page) {
    args.succ_page = succ_page;
    args.intra_page = intra_page;
    args.q_succ = q[1].data();
    args.q_inter = q[2].data();
  }
  // Of the keys of a page: 0 where every chunk is the query's own.
  size_t kind_of(int32_t page) const { return page >= args.intra_page ? 0 : page >= args.succ_page ? 1 : 2; }

  std::vector<float> attention(const BlockKeys& keys) {
    std::vector<float> out(at(args.n_queries) * kNumbers);
    const KernelTable& kernels = active_kernel_table();
    const auto aligned = [](std::vector<std::byte>& bytes, size_t n) {
      bytes.resize(n + 64);
      void* start = bytes.data();
      size_t space = bytes.size();
      return static_cast<std::byte*>(std::align(64, n, start, space));
    };
    std::vector<std::byte> scratch, gathered;
    AttentionArgs run = with_gathered(args, keys, aligned(gathered, gathered_bytes(args, keys)));
    run.scratch = aligned(scratch, kernels.attention_scratch_bytes(kGroup, kHeadDim, kPage));
    run.out = out.data();
    kernels.attention(run);
    return out;
  }

  // The softmax over exactly these keys, as far as the query sees them.
  std::vector<double> naive(const std::set<int32_t>& kept) const {
    std::vector<double> out;
    for (int32_t i = 0; i < args.n_queries; ++i) {
      for (int32_t g = 0; g < kGroup; ++g) {
        std::vector<double> sums(kHeadDim, 0.0);
        double total = 0;
        for (const int32_t j : kept) {
          if (j > args.first_position + i) break;
          const float* query = q[kind_of(j / kPage)].data() + i * kNumbers + g * kHeadDim;
          double dot = 0;
          for (int d = 0; d < kHeadDim; ++d) dot += double{query[d]} * k[j][d];
          const double weight = std::exp(0.25 * dot);
          total += weight;
          for (int d = 0; d < kHeadDim; ++d) sums[at(d)] += weight * v[j][d];
        }
        for (const double sum : sums) out.push_back(sum / total);
      }
    }
    return out;
  }

  Side k, v;
  std::vector<float> q[kKeyChunks];
  AttentionArgs args{};
};

VerticalSlash some_wanted(int32_t n_keys, int32_t n_columns, int32_t n_diagonals, uint32_t seed) {
  std::mt19937 random(seed);
  std::set<int32_t> columns, diagonals;
  for (int32_t i = 0; i < kSinkColumns; ++i) columns.insert(i);
  for (int32_t i = 0; i < kNearDiagonals; ++i) diagonals.insert(i);
  for (int32_t i = 0; i < n_columns; ++i) columns.insert(static_cast<int32_t>(random() % at(n_keys)));
  for (int32_t i = 0; i < n_diagonals; ++i) diagonals.insert(static_cast<int32_t>(random() % at(n_keys)));
  for (int32_t i = 0; i < 80; ++i) columns.insert(7 * kPage + i);  // most of a page
  return {{columns.begin(), columns.end()}, {diagonals.begin(), diagonals.end()}};
}

// Pages that are read, and which of them hold gathered columns: the rule, query by query.
struct NaiveChoice {
  NaiveChoice(const Block& block, const VerticalSlash& wanted) {
    const AttentionArgs& args = block.args;
    const int32_t last = args.first_position + args.n_queries - 1, own = args.first_position / kPage;
    for (int32_t page = own; page <= last / kPage; ++page) pages.insert(page);
    for (int32_t t = args.first_position; t <= last; ++t)
      for (const int32_t distance : wanted.diagonals)
        if (t >= distance) pages.insert((t - distance) / kPage);
    std::map<int32_t, int> counts;
    for (const int32_t column : wanted.columns)
      if (column <= last) ++counts[column / kPage];
    for (const auto& [page, count] : counts)
      if (count >= kPage / 2) pages.insert(page);
    std::map<size_t, int> left;  // wanted columns of each kind of chunk
    for (const int32_t column : wanted.columns)
      if (column <= last && !pages.contains(column / kPage)) ++left[block.kind_of(column / kPage)];
    for (const auto& [kind, count] : left) {
      int n = (count + kPage - 1) / kPage;
      for (int32_t page = 0; n > 0; ++page) {
        if (block.kind_of(page) != kind || pages.contains(page) || stand_ins.contains(page)) continue;
        stand_ins.insert(page);
        --n;
      }
    }
    pages.insert(stand_ins.begin(), stand_ins.end());
  }
  std::set<int32_t> pages, stand_ins;
};

}  // namespace

TEST_CASE("vertical-slash: gathered columns are masked attention over exactly the kept keys") {
  const bool dual = GENERATE(false, true);
  const auto [k_type, v_type] =
      GENERATE(std::pair(KvType::kF16, KvType::kF16), std::pair(KvType::kInt8, KvType::kInt8),
               std::pair(KvType::kF16, KvType::kInt8));
  const int32_t n_queries = GENERATE(32, 9);
  const int32_t first_position = 40 * kPage + 110;  // some blocks cross into the next page
  Block block(first_position, n_queries, k_type, v_type);
  if (dual) block.cut_into_chunks(15, 30);
  const VerticalSlash wanted = some_wanted(first_position + n_queries + 40, 350, 6, 11);
  const BlockKeys keys = choose_keys(block.args, wanted);

  const NaiveChoice naive(block, wanted);
  CHECK(std::set(keys.pages.begin(), keys.pages.end()) == naive.pages);
  CHECK(std::is_sorted(keys.pages.begin(), keys.pages.end()));
  CHECK(std::set(keys.stand_ins.begin(), keys.stand_ins.end()) == naive.stand_ins);
  CHECK(keys.stand_ins.size() >= 3);  // one for each kind of chunk, or for 350 columns
  CHECK(keys.pages.size() < 36);
  REQUIRE(keys.columns.size() == keys.stand_ins.size() * kPage);

  std::set<int32_t> kept;
  for (const int32_t page : keys.pages)
    if (!naive.stand_ins.contains(page))
      for (int32_t j = 0; j < kPage; ++j) kept.insert(page * kPage + j);
  for (size_t i = 0; i < keys.columns.size(); ++i) {
    CHECK(kept.insert(keys.columns[i]).second);  // once only
    CHECK(block.kind_of(keys.columns[i] / kPage) == block.kind_of(keys.stand_ins[i / kPage]));
    CHECK(keys.columns[i] / kPage < first_position / kPage);
  }
  bool all_kept = true;
  for (const int32_t column : wanted.columns)
    all_kept &= column >= first_position + n_queries || kept.contains(column);
  CHECK(all_kept);

  const std::vector<const void*> k_pages = block.k.pages, v_pages = block.v.pages;
  const std::vector<float> got = block.attention(keys);
  CHECK(block.k.pages == k_pages);  // what the measurement of the recall reads
  CHECK(block.v.pages == v_pages);
  const std::vector<double> expected = block.naive(kept);
  REQUIRE(got.size() == expected.size());
  double largest = 0;
  for (size_t i = 0; i < got.size(); ++i) largest = std::max(largest, std::abs(got[i] - expected[i]));
  CHECK(largest < 1e-5);
}

TEST_CASE("vertical-slash: where gathering saves no page the pages are read as they are") {
  Block block(10 * kPage + 5, 32, KvType::kF16, KvType::kF16);
  VerticalSlash wanted;
  for (int32_t i = 0; i < kNearDiagonals; ++i) wanted.diagonals.push_back(i);
  for (int32_t d = 3 * kPage; d < 12 * kPage; d += 32) wanted.diagonals.push_back(d);
  wanted.columns = {8 * kPage + 1};  // of the only page that no diagonal touches
  const BlockKeys keys = choose_keys(block.args, wanted);
  CHECK(keys.stand_ins.empty());
  CHECK(keys.pages.size() == 11);
}
