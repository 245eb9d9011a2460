#include "engine/page_selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

constexpr int32_t kHeadDim = 16, kGroup = 2, kQueries = 32, kPageTokens = 128;

struct Problem {
  explicit Problem(int32_t n_pages, uint32_t seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    const auto fill = [&](std::vector<float>& numbers, int32_t n) {
      numbers.resize(static_cast<size_t>(n));
      for (float& number : numbers) number = normal(random);
    };
    for (std::vector<float>& q : queries) fill(q, kQueries * kGroup * kHeadDim);
    fill(means, n_pages * kHeadDim);
    args.q = queries[0].data();
    args.q_stride = kGroup * kHeadDim;
    args.n_queries = kQueries;
    args.group = kGroup;
    args.head_dim = kHeadDim;
    args.page_tokens = kPageTokens;
    args.first_position = (n_pages - 1) * kPageTokens + 40;
    args.scale = 1.0f;
  }
  Problem(const Problem&) = delete;  // `args` points into it

  std::vector<int32_t> select(float threshold) const {
    std::vector<int32_t> pages(means.size() / kHeadDim);
    const int32_t n = select_pages(active_kernel_table(), args, means.data(), threshold, pages.data());
    pages.resize(static_cast<size_t>(n));
    return pages;
  }

  // The rule as it is written down.
  std::vector<int32_t> naive(double threshold) const {
    const int32_t last_page = args.first_position / kPageTokens, near = last_page - kLocalPages + 1;
    std::vector<bool> read(static_cast<size_t>(last_page) + 1, false);
    for (int32_t page = 0; page <= last_page; ++page)
      if (page < kSinkPages || page >= near) read[static_cast<size_t>(page)] = true;
    for (int32_t g = 0; g < kGroup; ++g) {
      std::vector<double> mass(static_cast<size_t>(last_page) + 1, 0.0);
      for (int32_t i = 0; i < kQueries; ++i) {
        std::vector<double> weights(mass.size(), 0.0);
        for (int32_t page = kSinkPages; page < near; ++page) {
          const std::vector<float>& q = queries[page >= args.intra_page ? 0 : page >= args.succ_page ? 1 : 2];
          double dot = 0;
          for (int32_t d = 0; d < kHeadDim; ++d)
            dot += double{q[static_cast<size_t>((i * kGroup + g) * kHeadDim + d)]} *
                   double{means[static_cast<size_t>(page * kHeadDim + d)]};
          weights[static_cast<size_t>(page)] = std::exp(dot);
        }
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (size_t page = 0; page < mass.size(); ++page) mass[page] += weights[page] / sum;
      }
      const double most = *std::max_element(mass.begin(), mass.end());
      for (size_t page = 0; page < mass.size(); ++page)
        if (mass[page] > 0 && mass[page] >= threshold * most) read[page] = true;
    }
    std::vector<int32_t> pages;
    for (size_t page = 0; page < read.size(); ++page)
      if (read[page]) pages.push_back(static_cast<int32_t>(page));
    return pages;
  }

  std::vector<float> queries[3];
  std::vector<float> means;
  AttentionArgs args{};
};

}  // namespace

TEST_CASE("a threshold of 0 keeps every page") {
  std::vector<int32_t> all(40);
  std::iota(all.begin(), all.end(), 0);
  CHECK(Problem(40).select(0.0f) == all);
}

TEST_CASE("pages are those of the rule and no others") {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    const Problem problem(60, seed);
    for (const double threshold : {0.05, 0.3, 0.9}) {
      INFO("seed " << seed << " threshold " << threshold);
      const auto pages = problem.select(static_cast<float>(threshold));
      CHECK(pages == problem.naive(threshold));
      CHECK(pages.size() < 60);
    }
  }
}

TEST_CASE("pages of older chunks are judged by the queries that read them") {
  Problem problem(60);
  problem.args.succ_page = 20;
  problem.args.intra_page = 40;
  problem.args.q_succ = problem.queries[1].data();
  problem.args.q_inter = problem.queries[2].data();
  CHECK(problem.select(0.3f) == problem.naive(0.3));
  CHECK(problem.select(0.3f) != Problem(60).select(0.3f));
}

TEST_CASE("few pages are all read") {
  for (const int32_t n : {1, 2, 5}) {
    std::vector<int32_t> all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    CHECK(Problem(n).select(1.0f) == all);
  }
}
