// One engine, many threads: run this under ThreadSanitizer too (preset tsan).
#include <algorithm>
#include <thread>

#include "base/error.h"
#include "engine/engine.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

constexpr int kThreads = 64;
constexpr int kPrompts = 8;  // several threads ask the same
constexpr int kNewTokens = 24;
const std::vector<int32_t> kLabels = {65, 66, 97};

std::unique_ptr<Engine> tiny_engine() {
  // Fewer KV pages than the prompts fill, so that remembered beginnings are given up on the way.
  return Engine::load(make_tiny_model(tiny_config()), {.backend = {.n_threads = 2, .kv_tokens = 512}});
}

std::vector<int32_t> prompt_of(int i) {
  auto prompt = some_tokens(100, 1);  // what all begin with
  const auto rest = some_tokens(20 + 10 * (i % kPrompts), i % kPrompts);
  prompt.insert(prompt.end(), rest.begin(), rest.end());
  return prompt;
}

// What one thread asks for, and all that it got.
struct Answer {
  std::vector<int32_t> tokens;
  FinishReason finish_reason = FinishReason::kStop;
  double log_probability = 0;
  std::vector<float> labels;
  std::string error;
};

enum Kind { kGenerate, kScore, kScoreLabels, kCancelByToken, kCancelByText, kKinds };

Answer ask(Engine& engine, int i, Kind kind) {
  Answer answer;
  const CancelToken cancel;
  try {
    if (kind == kScore) {
      const ScoreItem items[] = {{.prompt = prompt_of(i), .continuation = some_tokens(9, i % kPrompts)}};
      answer.log_probability = engine.score(items, cancel)[0].log_probability;
    } else if (kind == kScoreLabels) {
      const std::vector<int32_t> prompts[] = {prompt_of(i), prompt_of(i + 1)};
      answer.labels = engine.score_labels(prompts, kLabels, cancel);
    } else {
      GenerateRequest request;
      request.prompt = prompt_of(i);
      request.max_new_tokens = kNewTokens;
      int calls = 0;
      const auto on_text = [&](std::string_view) {
        if (kind == kCancelByToken && ++calls == 3) cancel.cancel();
        return kind != kCancelByText || ++calls < 3;
      };
      const GenerateResult result = engine.generate(request, on_text, cancel);
      answer.tokens = result.tokens;
      answer.finish_reason = result.finish_reason;
    }
  } catch (const Error& error) {
    answer.error = error.what();
  }
  return answer;
}

TEST_CASE("threads that generate and score and cancel at once get what each gets alone") {
  std::vector<Answer> alone(kThreads), together(kThreads);
  const auto kind_of = [](int i) { return static_cast<Kind>(i / kPrompts % kKinds); };
  for (int i = 0; i < kThreads; ++i) alone[static_cast<size_t>(i)] = ask(*tiny_engine(), i, kind_of(i));

  const auto engine = tiny_engine();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { together[static_cast<size_t>(i)] = ask(*engine, i, kind_of(i)); });
  }
  for (std::thread& thread : threads) thread.join();

  for (size_t i = 0; i < kThreads; ++i) {
    INFO("request " << i);
    CHECK(together[i].error.empty());
    CHECK(together[i].tokens == alone[i].tokens);
    CHECK(together[i].finish_reason == alone[i].finish_reason);
    CHECK(together[i].log_probability == alone[i].log_probability);
    CHECK(together[i].labels == alone[i].labels);
  }
}

TEST_CASE("a request cancelled by another thread ends and the engine serves the next") {
  const auto engine = tiny_engine();
  const Answer expected = ask(*engine, 0, kGenerate);
  for (int round = 0; round < 10; ++round) {
    const CancelToken cancel;
    GenerateRequest request;
    request.prompt = prompt_of(round);
    request.max_new_tokens = 300;
    const GenerateResult alone = engine->generate(request, {}, CancelToken());
    GenerateResult result;
    std::thread caller([&] { result = engine->generate(request, {}, cancel); });
    std::thread killer([&] { cancel.cancel(); });
    caller.join();
    killer.join();
    if (result.finish_reason == FinishReason::kCancelled) {
      CHECK(result.tokens.size() <= alone.tokens.size());
    } else {
      CHECK(result.tokens == alone.tokens);
    }
    CHECK(ask(*engine, 0, kGenerate).tokens == expected.tokens);
  }
}

}  // namespace
