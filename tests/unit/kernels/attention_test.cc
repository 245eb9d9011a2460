#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <string_view>

#include "kernels/reference/dequantize.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/kernels/kernel_fixtures.h"

namespace lectern {
namespace {

constexpr int32_t kPage = 128;

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kInt8};

// Random keys or values of one KV head in pages, and in one piece of floats for the reference. What lies
// after the last token is NaN (as a byte, the scale is): old memory must not leak into a result.
struct Side {
  Side(KvType page_type, int32_t n_tokens, int32_t head_dim, float size, uint32_t seed) : type(page_type) {
    const auto n = static_cast<size_t>(n_tokens), d = static_cast<size_t>(head_dim);
    const auto numbers = random_floats(n * d, seed, size);
    const size_t number_bytes = type == KvType::kInt8 ? 1 : 2, page_numbers = kPage * d;
    const size_t page_bytes = page_numbers * number_bytes + (type == KvType::kInt8 ? kPage * 4 : 0);
    for (size_t token = 0; token < n; ++token) {
      if (token % kPage == 0) {
        auto& page = storage.emplace_back(page_bytes, uint8_t{0x7f});
        std::fill(page.begin() + static_cast<std::ptrdiff_t>(page_numbers * number_bytes), page.end(),
                  uint8_t{0xff});
      }
      auto& page = storage.back();
      const float scale = size * static_cast<float>(1 + token % 5) / 100.0f;  // of the token's bytes
      if (type == KvType::kInt8) {
        std::memcpy(page.data() + page_numbers + token % kPage * 4, &scale, sizeof(scale));
      }
      for (size_t i = 0; i < d; ++i) {
        const float x = numbers[token * d + i];
        const size_t at = token % kPage * d + i;
        if (type == KvType::kInt8) {
          const auto byte = static_cast<int8_t>(std::lrint(std::clamp(x / scale, -127.0f, 127.0f)));
          page[at] = static_cast<uint8_t>(byte);
          flat.push_back(scale * byte);
        } else {
          const uint16_t half = float_to_half(x);
          std::memcpy(page.data() + at * 2, &half, sizeof(half));
          flat.push_back(half_to_float(half));
        }
      }
    }
    for (const auto& page : storage) pages.push_back(page.data());
  }
  KvType type;
  std::vector<float> flat;  // [n_tokens, head_dim]
  std::vector<std::vector<uint8_t>> storage;
  std::vector<const void*> pages;
};

struct Cache {
  Cache(KvType k_type, KvType v_type, int32_t n_keys, int32_t head_dim, float key_size, uint32_t seed)
      : k(k_type, n_keys, head_dim, key_size, seed + 1), v(v_type, n_keys, head_dim, 1.0f, seed + 2) {}
  Side k, v;
};

std::vector<float> run_attention(const KernelTable& table, const Cache& cache, const std::vector<float>& q,
                                 int32_t n_queries, int32_t group, int32_t head_dim, int32_t first_position,
                                 float scale) {
  GuardedBuffer<std::byte> scratch(table.attention_scratch_bytes(group, head_dim, kPage), 64);
  GuardedBuffer<float> out(q.size());
  table.attention({.q = q.data(),
                   .q_stride = group * head_dim,
                   .n_queries = n_queries,
                   .group = group,
                   .head_dim = head_dim,
                   .k_pages = cache.k.pages.data(),
                   .v_pages = cache.v.pages.data(),
                   .k_type = cache.k.type,
                   .v_type = cache.v.type,
                   .page_tokens = kPage,
                   .first_position = first_position,
                   .scale = scale,
                   .out = out.data(),
                   .out_stride = group * head_dim,
                   .scratch = scratch.data()});
  CHECK(scratch.front_untouched());
  CHECK(out.front_untouched());
  return {out.data(), out.data() + out.size()};
}

// Scores are sums of head_dim products whose magnitudes add up to `magnitude`, computed in float; an error e
// of a score changes a weight by the factor exp(e), so an average of values below max|v| = 5 moves by at most
// 2 * 5 * e; exp itself and the sums over the keys add some roundings more.
double tolerance(double magnitude, int32_t head_dim, int32_t n_keys) {
  constexpr double kEpsilon = 0x1p-24;
  return 10.0 * kEpsilon * (magnitude * (head_dim / 8.0 + 8.0) + n_keys + 64.0);
}

void check(const KernelTable& table, KvType k_type, KvType v_type, int32_t n_queries, int32_t group,
           int32_t head_dim, int32_t first_position, float key_size) {
  INFO(table.name << " queries " << n_queries << " group " << group << " head_dim " << head_dim
                  << " position " << first_position << " keys " << key_size << " types "
                  << static_cast<int>(k_type) << static_cast<int>(v_type));
  const Cache cache(k_type, v_type, first_position + n_queries, head_dim, key_size, 1);
  const auto q = random_floats(static_cast<size_t>(n_queries * group * head_dim), 2);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const auto out = run_attention(table, cache, q, n_queries, group, head_dim, first_position, scale);
  const double limit = tolerance(4.0 * key_size * std::sqrt(static_cast<double>(head_dim)), head_dim,
                                 first_position + n_queries);
  double worst = 0.0;
  for (int32_t i = 0; i < n_queries; ++i) {
    for (int32_t g = 0; g < group; ++g) {
      const size_t at = static_cast<size_t>(i * group + g) * static_cast<size_t>(head_dim);
      const auto truth = reference::attention(q.data() + at, cache.k.flat.data(), cache.v.flat.data(),
                                              first_position + i, head_dim, scale);
      for (size_t d = 0; d < truth.size(); ++d) {
        const double error = std::abs(static_cast<double>(out[at + d]) - truth[d]);
        worst = std::isfinite(error) ? std::max(worst, error) : 1e30;
      }
    }
  }
  CHECK(worst <= limit);
}

void check_types(const KernelTable& table, int32_t n_queries, int32_t group, int32_t head_dim,
                 int32_t first_position, float key_size) {
  for (const KvType k_type : kKvTypes) {
    for (const KvType v_type : kKvTypes)
      check(table, k_type, v_type, n_queries, group, head_dim, first_position, key_size);
  }
}

TEST_CASE("attention equals the reference over groups, head sizes and page borders") {
  for (const KernelTable* table : runnable_tables()) {
    for (int32_t head_dim : {64, 128}) {
      for (int32_t group : {1, 2, 6, 7, 8}) {
        for (int32_t first_position : {0, 1, 126, 127, 128, 300}) {
          for (int32_t n_queries : {1, 2, 19})
            check_types(*table, n_queries, group, head_dim, first_position, 1.0f);
        }
      }
    }
    check_types(*table, 150, 7, 64, 300, 1.0f);
    check_types(*table, 131, 6, 128, 0, 1.0f);
    check_types(*table, 1, 7, 64, 1500, 1.0f);
    check_types(*table, 5, 5, 80, 200, 1.0f);
    check_types(*table, 3, 2, 8, 140, 1.0f);
  }
}

TEST_CASE("attention stands keys as large as Qwen2's biases make them") {
  for (const KernelTable* table : runnable_tables()) {
    check_types(*table, 9, 7, 64, 250, 100.0f);
    check_types(*table, 9, 6, 128, 250, 400.0f);
  }
}

TEST_CASE("attention of a query does not depend on how the prompt is cut into chunks") {
  const KvType k_type = GENERATE(KvType::kF16, KvType::kInt8), v_type = GENERATE(KvType::kF16, KvType::kInt8);
  for (const KernelTable* table : runnable_tables()) {
    const int32_t n = 200, group = 7, head_dim = 64;
    const Cache cache(k_type, v_type, n, head_dim, 1.0f, 3);
    const auto q = random_floats(static_cast<size_t>(n * group * head_dim), 4);
    const auto whole = run_attention(*table, cache, q, n, group, head_dim, 0, 0.125f);
    for (int32_t chunk : {1, 7, 64, 129}) {
      for (int32_t begin = 0; begin < n; begin += chunk) {
        const int32_t end = std::min(begin + chunk, n);
        const auto at = static_cast<std::ptrdiff_t>(begin * group * head_dim);
        const std::vector<float> part(q.begin() + at, q.begin() + end * group * head_dim);
        const auto out = run_attention(*table, cache, part, end - begin, group, head_dim, begin, 0.125f);
        INFO(table->name << " chunk " << chunk << " begin " << begin);
        CHECK(std::equal(out.begin(), out.end(), whole.begin() + at));
      }
    }
  }
}

TEST_CASE("attention is the same bit for bit in all bundles that round alike") {
  std::map<std::string_view, std::vector<const KernelTable*>> alike;
  for (const KernelTable* table : runnable_tables()) alike[table->numerics].push_back(table);
  std::mt19937 random(14);
  const auto one_of = [&](std::initializer_list<int32_t> values) {
    return values.begin()[random() % values.size()];
  };
  for (int i = 0; i < 300; ++i) {
    const int32_t head_dim = one_of({16, 24, 64, 80, 96, 128}), group = one_of({1, 2, 5, 6, 7, 8});
    const int32_t n_queries = one_of({1, 2, 9, 18, 19, 33}), first = static_cast<int32_t>(random() % 400);
    const auto k_type = kKvTypes[random() % 2], v_type = kKvTypes[random() % 2];
    const Cache cache(k_type, v_type, first + n_queries, head_dim, 4.0f, static_cast<uint32_t>(i));
    const auto q = random_floats(static_cast<size_t>(n_queries * group * head_dim), 15);
    for (const auto& [numerics, tables] : alike) {
      std::vector<float> expected;
      for (const KernelTable* table : tables) {
        const auto out = run_attention(*table, cache, q, n_queries, group, head_dim, first, 0.125f);
        if (expected.empty()) expected = out;
        if (out != expected) FAIL_CHECK(table->name << " is not " << numerics << " in case " << i);
      }
    }
  }
}

// Softmax over scores that were made by different queries, in double precision. `pages`: those that are read;
// empty: all.
std::vector<double> attention_by_age(const Cache& cache, const float* const queries[3], int32_t succ_page,
                                     int32_t intra_page, const std::vector<int32_t>& pages, int32_t position,
                                     int32_t head_dim, float scale, double* log_sum_exp) {
  const auto d = static_cast<size_t>(head_dim);
  std::vector<size_t> keys;
  for (size_t j = 0; j <= static_cast<size_t>(position); ++j)
    if (pages.empty() || std::ranges::count(pages, static_cast<int32_t>(j) / kPage) > 0) keys.push_back(j);
  std::vector<float> scores;
  for (const size_t j : keys) {
    const auto page = static_cast<int32_t>(j) / kPage;
    const float* q = queries[page >= intra_page ? 0 : page >= succ_page ? 1 : 2];
    double dot = 0;
    for (size_t i = 0; i < d; ++i) dot += double{q[i]} * cache.k.flat[j * d + i];
    scores.push_back(static_cast<float>(dot * scale));
  }
  const std::vector<double> weights =
      reference::softmax(scores.data(), static_cast<int64_t>(scores.size()), log_sum_exp);
  std::vector<double> out(d, 0.0);
  for (size_t n = 0; n < keys.size(); ++n)
    for (size_t i = 0; i < d; ++i) out[i] += weights[n] * double{cache.v.flat[keys[n] * d + i]};
  return out;
}

TEST_CASE("attention reads the pages it is given with the queries that are meant for them") {
  const std::vector<int32_t> pages =
      GENERATE(std::vector<int32_t>{}, std::vector<int32_t>{0, 2, 3}, std::vector<int32_t>{1, 3, 4});
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto [succ_page, intra_page] =
      GENERATE(std::pair{0, 0}, std::pair{0, 1}, std::pair{1, 3}, std::pair{2, 3});
  for (const KernelTable* table : runnable_tables()) {
    for (const int32_t head_dim : {64, 80, 12}) {
      constexpr int32_t kGroup = 7, kQueries = 21;
      const int32_t first = 3 * kPage + 115;  // the last queries are in page 4
      const auto n_numbers = static_cast<size_t>(kQueries * kGroup * head_dim);
      const Cache cache(type, type, first + kQueries, head_dim, 1.0f, 8);
      const std::vector<float> q[] = {random_floats(n_numbers, 9), random_floats(n_numbers, 10),
                                      random_floats(n_numbers, 11)};
      const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
      std::vector<std::byte> memory(table->attention_scratch_bytes(kGroup, head_dim, kPage) + 64);
      void* scratch = memory.data();
      size_t space = memory.size();
      REQUIRE(std::align(64, space - 64, scratch, space) != nullptr);
      std::vector<float> out(n_numbers), log_sums(static_cast<size_t>(kQueries * kGroup));
      table->attention({.q = q[0].data(),
                        .q_stride = kGroup * head_dim,
                        .n_queries = kQueries,
                        .group = kGroup,
                        .head_dim = head_dim,
                        .k_pages = cache.k.pages.data(),
                        .v_pages = cache.v.pages.data(),
                        .k_type = type,
                        .v_type = type,
                        .page_tokens = kPage,
                        .first_position = first,
                        .scale = scale,
                        .out = out.data(),
                        .out_stride = kGroup * head_dim,
                        .scratch = scratch,
                        .succ_page = succ_page,
                        .intra_page = intra_page,
                        .q_succ = intra_page > 0 ? q[1].data() : nullptr,
                        .q_inter = succ_page > 0 ? q[2].data() : nullptr,
                        .pages = pages.empty() ? nullptr : pages.data(),
                        .n_pages = static_cast<int32_t>(pages.size()),
                        .log_sum_exp = log_sums.data()});
      double worst = 0;
      for (int32_t row = 0; row < kQueries * kGroup; ++row) {
        const auto at = static_cast<size_t>(row * head_dim);
        const float* queries[] = {q[0].data() + at, q[1].data() + at, q[2].data() + at};
        double log_sum = 0;
        const auto truth = attention_by_age(cache, queries, succ_page, intra_page, pages,
                                            first + row / kGroup, head_dim, scale, &log_sum);
        worst = std::max(worst, std::abs(double{log_sums[static_cast<size_t>(row)]} - log_sum) / 10);

        for (size_t i = 0; i < truth.size(); ++i) worst = std::max(worst, std::abs(out[at + i] - truth[i]));
      }
      INFO(table->name << " head_dim " << head_dim << " from page " << succ_page << " and " << intra_page);
      CHECK(worst <= tolerance(4.0 * std::sqrt(static_cast<double>(head_dim)), head_dim, first + kQueries));
    }
  }
}

TEST_CASE("the mean of a page and dot products") {
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  for (const KernelTable* table : runnable_tables()) {
    for (const int32_t head_dim : {64, 80, 12}) {
      const auto d = static_cast<size_t>(head_dim);
      const Side keys(type, kPage, head_dim, 1.0f, 12);
      std::vector<float> mean(d);
      table->page_mean(keys.pages[0], type, kPage, head_dim, mean.data());
      for (size_t i = 0; i < d; ++i) {
        double sum = 0;
        for (size_t j = 0; j < kPage; ++j) sum += double{keys.flat[j * d + i]};
        CHECK(mean[i] == Approx(sum / kPage).margin(1e-5));
      }
      const auto x = random_floats(d, 13);
      std::vector<float> products(kPage);
      table->dots(x.data(), keys.flat.data(), kPage, head_dim, products.data());
      for (size_t j = 0; j < kPage; ++j) {
        double sum = 0;
        for (size_t i = 0; i < d; ++i) sum += double{x[i]} * double{keys.flat[j * d + i]};
        CHECK(products[j] == Approx(sum).margin(1e-4));
      }
    }
  }
}

TEST_CASE("attention without queries does nothing, and one key is its value") {
  const KvType type = GENERATE(KvType::kF16, KvType::kInt8);
  for (const KernelTable* table : runnable_tables()) {
    const Cache cache(type, type, 1, 64, 1.0f, 5);
    CHECK(run_attention(*table, cache, {}, 0, 7, 64, 0, 0.125f).empty());
    const auto out = run_attention(*table, cache, random_floats(64, 6), 1, 1, 64, 0, 0.125f);
    for (size_t d = 0; d < 64; ++d) CHECK(out[d] == cache.v.flat[d]);
  }
}

}  // namespace
}  // namespace lectern
