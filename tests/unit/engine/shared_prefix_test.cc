#include "engine/shared_prefix.h"

#include <map>

#include "base/error.h"
#include "engine/scheduler.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

struct Fixture {
  explicit Fixture(int64_t kv_tokens = 2048, int chunk = 512)
      : backend(make_cpu_backend(make_tiny_model(tiny_config()),
                                 {.n_threads = 1, .kv_tokens = kv_tokens, .prefill_chunk_tokens = chunk},
                                 {})),
        cache(*backend) {
    backend->set_tap([this](std::string_view stage, int, std::span<const float>, int n) {
      if (stage == "embed") n_read += n;
    });
  }

  // The logits of each item's wanted rows; counts the tokens that went through the model in n_read.
  std::vector<std::vector<float>> score(std::span<const PrefixItem> items,
                                        std::span<const int32_t> labels = {}) {
    std::vector<std::vector<float>> result(items.size());
    n_read = 0;
    const auto consume = [&](size_t item, int first_row, int n_rows, std::span<float> logits) {
      const size_t columns = labels.empty() ? 272 : labels.size();
      REQUIRE(logits.size() == static_cast<size_t>(n_rows) * columns);
      REQUIRE(result[item].size() == static_cast<size_t>(first_row) * columns);
      result[item].insert(result[item].end(), logits.begin(), logits.end());
    };
    run(items, labels, consume, CancelToken());
    return result;
  }

  // Through a scheduler, step by step.
  void run(std::span<const PrefixItem> items, std::span<const int32_t> labels,
           const SharedPrefixRun::Consumer& consume, const CancelToken& cancel) {
    SharedPrefixRun task(backend->kv_pages(), cache, items, labels, Priority::kBulk, consume);
    Scheduler scheduler(*backend, cache);
    std::exception_ptr error;
    scheduler.add(task, cancel, CancelToken(), [&](std::exception_ptr what) { error = what; });
    while (scheduler.step()) {
    }
    if (error) std::rethrow_exception(error);
  }

  std::unique_ptr<Backend> backend;
  PrefixCache cache;
  int n_read = 0;  // tokens
};

std::vector<int32_t> concat(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void check_equal_to_single_runs(Fixture& fixture, std::span<const PrefixItem> items) {
  const auto got = fixture.score(items);
  const int n_read = fixture.n_read;
  for (size_t i = 0; i < items.size(); ++i) {
    KvSequence sequence(fixture.backend->kv_pages());
    fixture.cache.reserve(sequence, static_cast<int>(items[i].tokens.size()));
    INFO("item " << i);
    CHECK(got[i] == run(*fixture.backend, sequence, items[i].tokens, items[i].n_logits));
  }
  fixture.n_read = n_read;
}

}  // namespace

TEST_CASE("What all items begin with is computed once") {
  Fixture fixture;
  const auto prefix = some_tokens(170, 1);
  std::vector<PrefixItem> items;
  for (int i = 0; i < 6; ++i) items.push_back({concat(prefix, some_tokens(40 + i, 10 + i)), 1 + i});
  check_equal_to_single_runs(fixture, items);
  CHECK(fixture.n_read == 170 + 6 * 40 + 15);
  // The next call finds the prefix in the cache.
  fixture.score(items);
  CHECK(fixture.n_read == 6 * 40 + 15);
}

TEST_CASE("Prefixes are shared at every level of the tree") {
  Fixture fixture;
  const auto question = some_tokens(60, 1);
  std::vector<PrefixItem> items;
  for (int document = 0; document < 3; ++document) {
    for (int i = 0; i < 3; ++i) {
      items.push_back(
          {concat(concat(question, some_tokens(100, 20 + document)), some_tokens(10, 50 + i)), 2});
    }
  }
  std::swap(items[0], items[7]);  // the order does not matter
  check_equal_to_single_runs(fixture, items);
  CHECK(fixture.n_read == 60 + 3 * 100 + 9 * 10);
}

TEST_CASE("Items that hardly share anything and equal items and items within others") {
  Fixture fixture;
  const auto a = some_tokens(100, 1);
  const std::vector<PrefixItem> items = {{a, 1},    {some_tokens(5, 2), 5},
                                         {a, 1},    {std::vector<int32_t>(a.begin(), a.begin() + 60), 3},
                                         {{42}, 1}, {concat(a, a), 100}};
  check_equal_to_single_runs(fixture, items);
  CHECK(fixture.score({}).empty());
}

TEST_CASE("Items that are wholly equal are computed once") {
  Fixture fixture;
  const auto a = some_tokens(100, 1), b = some_tokens(50, 2);
  const std::vector<PrefixItem> items = {{a, 3}, {b, 1}, {a, 3}, {a, 3}, {b, 2}};
  check_equal_to_single_runs(fixture, items);
  CHECK(fixture.n_read == 100 + 50 + 2);  // of b, what both share is read once
}

TEST_CASE("Label rows of many items") {
  Fixture fixture;
  const auto prefix = some_tokens(40, 1);
  const std::vector<PrefixItem> items = {{concat(prefix, {1, 2}), 1}, {concat(prefix, {3}), 1}};
  const std::vector<int32_t> labels = {9, 200};
  const auto got = fixture.score(items, labels);
  for (size_t i = 0; i < items.size(); ++i) {
    const auto all = run_last(*fixture.backend, items[i].tokens);
    CHECK(got[i] == std::vector<float>{all[9], all[200]});
  }
}

TEST_CASE("Scoring makes do with a small KV cache and small pieces") {
  Fixture fixture(/*kv_tokens=*/256, /*chunk=*/50);
  const auto prefix = some_tokens(150, 1);
  std::vector<PrefixItem> items;
  for (int i = 0; i < 20; ++i) items.push_back({concat(prefix, some_tokens(100, 10 + i)), 1});
  check_equal_to_single_runs(fixture, items);
  CHECK(fixture.n_read == 150 + 20 * 100);
}

TEST_CASE("Scoring stops when it is cancelled") {
  Fixture fixture;
  const std::vector<PrefixItem> items = {{some_tokens(10), 1}};
  const CancelToken cancel;
  cancel.cancel();
  CHECK_THROWS_AS(fixture.run(
                      items, {}, [](size_t, int, int, std::span<float>) {}, cancel),
                  Error);
}
