// The whole engine on a CUDA backend: shared prefixes, batches of many requests, drafts.
#include <thread>

#include "engine/cuda_backend.h"
#include "engine/engine.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/cuda/device_buffer.h"

using namespace lectern;
using namespace lectern::test;

namespace {

constexpr BackendOptions kOptions{.n_threads = 1, .kv_tokens = 2048};

std::unique_ptr<Engine> engine_on_cuda(const std::shared_ptr<const ModelFile>& model) {
  return Engine::load(model, make_cuda_backend(model, 0, kOptions, {}), {});
}

}  // namespace

TEST_CASE("an engine on CUDA scores as the one on the CPU does") {
  LECTERN_NEEDS_DEVICE();
  const auto model = make_tiny_model(tiny_config());
  const auto cuda = engine_on_cuda(model);
  const auto cpu = Engine::load(model, {.backend = kOptions});
  // Several share a prefix of more than a page.
  std::vector<ScoreItem> items;
  for (int i = 0; i < 4; ++i) {
    ScoreItem item{.prompt = some_tokens(150), .continuation = some_tokens(20, i + 1)};
    item.prompt.push_back(i);
    items.push_back(std::move(item));
  }
  items.push_back({.prompt = some_tokens(3), .continuation = some_tokens(1, 9)});
  const auto got = cuda->score(items, CancelToken()), expected = cpu->score(items, CancelToken());
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].n_tokens == expected[i].n_tokens);
    CHECK(got[i].log_probability / got[i].n_tokens ==
          Approx(expected[i].log_probability / expected[i].n_tokens).margin(0.02));
  }
  const std::vector<std::vector<int32_t>> prompts = {some_tokens(140), some_tokens(9)};
  const int32_t labels[] = {3, 200, 77};
  const auto got_labels = cuda->score_labels(prompts, labels, CancelToken());
  const auto expected_labels = cpu->score_labels(prompts, labels, CancelToken());
  for (size_t i = 0; i < expected_labels.size(); ++i)
    CHECK(got_labels[i] == Approx(expected_labels[i]).margin(0.02));
}

TEST_CASE("an engine on CUDA serves many at once") {
  LECTERN_NEEDS_DEVICE();
  const auto engine = engine_on_cuda(make_tiny_model(tiny_config()));
  CHECK_THAT(engine->describe(), Catch::Contains("CUDA"));
  std::vector<GenerateResult> results(5);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      GenerateRequest request;
      request.prompt = some_tokens(30 + 40 * static_cast<int>(i), static_cast<int>(i));
      request.max_new_tokens = 12;
      results[i] = engine->generate(request, {}, CancelToken());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const GenerateResult& result : results) {
    CHECK(result.new_tokens > 0);
    CHECK(result.new_tokens == static_cast<int>(result.tokens.size()));
  }
  // Again, from the prefix cache.
  GenerateRequest request;
  request.prompt = some_tokens(190, 4);
  request.max_new_tokens = 1;
  CHECK(engine->generate(request, {}, CancelToken()).cached_prompt_tokens >= 128);
}
