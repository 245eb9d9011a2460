#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int32_t sample(Sampler& sampler, std::vector<float> logits, std::vector<int32_t> history = {},
               std::vector<uint64_t> mask = {}) {
  return sampler.sample(logits, history, mask);
}

int32_t greedy(std::vector<float> logits, std::vector<int32_t> history = {}, std::vector<uint64_t> mask = {},
               float penalty = 1.0f) {
  Sampler sampler({.repetition_penalty = penalty});
  return sample(sampler, std::move(logits), std::move(history), std::move(mask));
}

// How often each of the ids comes in `n` draws.
std::vector<int> histogram(const SamplingParams& params, const std::vector<float>& logits, int n = 20000) {
  Sampler sampler(params);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; ++i) ++counts[static_cast<size_t>(sample(sampler, logits))];
  return counts;
}

std::set<size_t> support(const SamplingParams& params, const std::vector<float>& logits) {
  std::set<size_t> ids;
  const std::vector<int> counts = histogram(params, logits);
  for (size_t id = 0; id < counts.size(); ++id)
    if (counts[id] > 0) ids.insert(id);
  return ids;
}

std::vector<float> logs(std::initializer_list<double> probabilities) {
  std::vector<float> result;
  for (const double p : probabilities) result.push_back(static_cast<float>(std::log(p)));
  return result;
}

using Ids = std::set<size_t>;

// The definition that the sampler is compared with: sorts the whole vocabulary, cuts, draws.
int32_t sample_by_sorting(const SamplingParams& params, const std::vector<float>& logits,
                          std::mt19937_64& random) {
  struct Candidate {
    double weight;
    int32_t id;
  };
  const float best = *std::max_element(logits.begin(), logits.end());
  std::vector<Candidate> kept;
  for (size_t id = 0; id < logits.size(); ++id)
    kept.push_back(
        {std::exp((static_cast<double>(logits[id]) - best) / params.temperature), static_cast<int32_t>(id)});
  std::stable_sort(kept.begin(), kept.end(),
                   [](const Candidate& a, const Candidate& b) { return a.weight > b.weight; });
  if (params.top_k > 0) kept.resize(std::min(kept.size(), static_cast<size_t>(params.top_k)));
  double total = 0, sum = 0;
  for (const Candidate& c : kept) total += c.weight;
  size_t n = 0;
  while (n < kept.size() && (n == 0 || sum < params.top_p * total)) sum += kept[n++].weight;
  while (n > 1 && kept[n - 1].weight < params.min_p) --n;
  kept.resize(n);
  total = 0;
  for (const Candidate& c : kept) total += c.weight;
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  for (const Candidate& c : kept)
    if ((left -= c.weight) < 0) return c.id;
  return kept.back().id;
}

}  // namespace

TEST_CASE("sampler: temperature 0 takes the best, of equals the first") {
  CHECK(greedy({1, 3, 2}) == 1);
  CHECK(greedy({1, 3, 3}) == 1);
  CHECK(greedy({-kInfinity, -5, -kInfinity}) == 1);
}

TEST_CASE("sampler: the mask decides, and ends what it does not cover") {
  CHECK(greedy({9, 3, 2}, {}, {0b110}) == 1);
  std::vector<float> logits(130, 0.0f);
  logits[129] = 5;
  CHECK(greedy(logits, {}, {~0ull, ~0ull}) == 0);
  CHECK(greedy(logits, {}, {~0ull, ~0ull, ~0ull}) == 129);
  CHECK(greedy({kNan, 3}, {}, {0b10}) == 1);  // what is masked out does not matter
}

TEST_CASE("sampler: the repetition penalty counts an id once and moves logits towards less likely") {
  CHECK(greedy({4, 3}, {0, 0, 0}, {}, 1.2f) == 0);  // 4 / 1.2 > 3
  CHECK(greedy({4, 3}, {0}, {}, 1.5f) == 1);
  CHECK(greedy({-2, -3}, {0}, {}, 2.0f) == 1);
  CHECK(greedy({4, 3}, {-1, 7, 1}, {}, 2.0f) == 0);  // ids outside are ignored
}

TEST_CASE("sampler: draws follow the probabilities") {
  const std::vector<int> counts = histogram({.temperature = 1, .seed = 3}, logs({0.5, 0.3, 0.2}));
  CHECK(counts[0] == Approx(10000).epsilon(0.05));
  CHECK(counts[1] == Approx(6000).epsilon(0.05));
  CHECK(counts[2] == Approx(4000).epsilon(0.05));
  // At temperature 1/2 probabilities are squared.
  const std::vector<int> cold = histogram({.temperature = 0.5f, .seed = 3}, logs({0.5, 0.3, 0.2}));
  CHECK(cold[0] == Approx(20000 * 0.25 / 0.38).epsilon(0.05));
}

TEST_CASE("sampler: top_k, top_p and min_p cut the tail") {
  const std::vector<float> logits = logs({0.1, 0.4, 0.2, 0.25, 0.05});
  CHECK(support({.temperature = 1}, logits) == Ids{0, 1, 2, 3, 4});
  CHECK(support({.temperature = 1, .top_k = 2}, logits) == Ids{1, 3});
  CHECK(support({.temperature = 1, .top_k = 99}, logits) == Ids{0, 1, 2, 3, 4});
  CHECK(support({.temperature = 1, .top_p = 0.6f}, logits) == Ids{1, 3});
  CHECK(support({.temperature = 1, .top_p = 0.7f}, logits) == Ids{1, 2, 3});
  CHECK(support({.temperature = 1, .top_p = 0.0f}, logits) == Ids{1});
  CHECK(support({.temperature = 1, .min_p = 0.45f}, logits) == Ids{1, 2, 3});
  CHECK(support({.temperature = 1, .min_p = 1.0f}, logits) == Ids{1});
  // top_p takes the probabilities as top_k leaves them: 0.4 / 0.65 = 0.62.
  CHECK(support({.temperature = 1, .top_k = 2, .top_p = 0.6f}, logits) == Ids{1});
  CHECK(support({.temperature = 1, .top_k = 2}, {1, 1, 1}) == Ids{0, 1});  // of equals the first
}

TEST_CASE("sampler: draws equal those of a full sort of the vocabulary") {
  std::mt19937_64 random(11);
  const auto one_of = [&](const auto& values) { return values[random() % values.size()]; };
  for (int round = 0; round < 400; ++round) {
    // From a flat vocabulary to one clear favourite. Steps of 1/8 make many ties.
    const double spread = one_of(std::vector<double>{0.0, 0.5, 2.0, 12.0});
    std::vector<float> logits(one_of(std::vector<size_t>{1, 2, 63, 64, 65, 700}));
    for (float& logit : logits)
      logit = static_cast<float>(std::round(spread * 8 * static_cast<double>(random() % 1000) / 1000) / 8);
    const SamplingParams params = {.temperature = one_of(std::vector<float>{0.3f, 1.0f}),
                                   .top_k = one_of(std::vector<int>{0, 0, 3, 100}),
                                   .top_p = one_of(std::vector<float>{0.0f, 0.1f, 0.5f, 0.9f, 0.999f}),
                                   .min_p = one_of(std::vector<float>{0.0f, 0.0f, 0.01f, 0.5f}),
                                   .seed = random()};
    Sampler sampler(params);
    std::mt19937_64 same_random(params.seed);
    INFO("round " << round << ": " << logits.size() << " logits, spread " << spread << ", top_k "
                  << params.top_k << ", top_p " << params.top_p << ", min_p " << params.min_p);
    for (int i = 0; i < 20; ++i)
      CHECK(sample(sampler, logits) == sample_by_sorting(params, logits, same_random));
  }
}

TEST_CASE("sampler: the seed decides the draws") {
  const std::vector<float> logits = logs({0.25, 0.25, 0.25, 0.25});
  const auto draws = [&](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(sample(sampler, logits));
    return ids;
  };
  CHECK(draws(1) == draws(1));
  CHECK(draws(1) != draws(2));
}

TEST_CASE("sampler: extreme temperatures stay finite") {
  for (const float temperature : {1e-38f, 1e-6f, 100.0f}) {
    Sampler sampler({.temperature = temperature});
    const int32_t id = sample(sampler, {-3e38f, 0.0f, 3e38f});
    if (temperature < 1) CHECK(id == 2);
  }
}

TEST_CASE("sampler: bad logits and bad parameters are errors") {
  CHECK_THROWS_AS(greedy({1, kNan}), Error);
  CHECK_THROWS_AS(greedy({1, kInfinity}), Error);
  CHECK_THROWS_AS(greedy({-kInfinity, -kInfinity}), Error);
  CHECK_THROWS_AS(greedy({1, 2}, {}, {0}), Error);
  CHECK_THROWS_AS(greedy({}), Error);

  const auto message_of = [](const SamplingParams& params) -> std::string {
    try {
      Sampler sampler(params);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "";
  };
  using Catch::Matchers::StartsWith;
  for (const float bad : {-0.1f, kNan, kInfinity, -kInfinity}) {
    CHECK_THAT(message_of({.temperature = bad}), StartsWith("temperature"));
    CHECK_THAT(message_of({.top_p = bad}), StartsWith("top_p"));
    CHECK_THAT(message_of({.min_p = bad}), StartsWith("min_p"));
    CHECK_THAT(message_of({.repetition_penalty = bad}), StartsWith("repetition_penalty"));
  }
  CHECK_THAT(message_of({.top_k = -1}), StartsWith("top_k"));
  CHECK_THAT(message_of({.top_p = 1.1f}), StartsWith("top_p"));
  CHECK_THAT(message_of({.repetition_penalty = 0}), StartsWith("repetition_penalty"));
}
