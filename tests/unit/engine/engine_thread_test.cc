// Many threads and one engine. Run it under ThreadSanitizer too: preset tsan.
#include "engine/engine_thread.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <random>
#include <semaphore>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/shared_prefix.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/recording_backend.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::unique_ptr<Engine> tiny_engine(int64_t kv_tokens = 512, int n_threads = 1, int max_waiting = 256) {
  return Engine::load(
      make_tiny_model(tiny_config()),
      {.backend = {.n_threads = n_threads, .kv_tokens = kv_tokens, .prefill_chunk_tokens = 48},
       .max_waiting_requests = max_waiting});
}

// Forward passes that wait for a permit each.
struct GatedBackend {
  GatedBackend()
      : backend(make_cpu_backend(make_tiny_model(tiny_config()), {.n_threads = 1, .kv_tokens = 1024}, {})),
        cache(backend) {
    backend.before_forward = [this](const ForwardBatch&) {
      entered.release();
      permits.acquire();
    };
  }

  RecordingBackend backend;
  PrefixCache cache;
  std::counting_semaphore<> entered{0}, permits{0};
};

// A scoring run of one item.
struct SmallTask {
  SmallTask(GatedBackend& gated, int seed)
      : items{{some_tokens(20, seed), 1}},
        run(gated.backend.kv_pages(), gated.cache, items, {}, Priority::kBulk,
            [this](size_t, int, int, std::span<float>) { ++n_results; }) {}

  std::vector<PrefixItem> items;
  int n_results = 0;
  SharedPrefixRun run;
};

}  // namespace

TEST_CASE("One request too many is refused with what to do and the others are served") {
  GatedBackend gated;
  std::list<SmallTask> tasks;
  std::vector<std::shared_ptr<Ticket>> tickets;
  {
    EngineThread thread(gated.backend, gated.cache, /*max_waiting=*/3);
    const auto submit = [&] {
      tasks.emplace_back(gated, static_cast<int>(tasks.size()));
      const auto ticket = std::make_shared<Ticket>();
      thread.submit(tasks.back().run, CancelToken(), ticket);
      tickets.push_back(ticket);
    };
    submit();
    gated.entered.acquire();  // it runs; whoever comes now waits
    for (int i = 0; i < 3; ++i) submit();
    CHECK_THROWS_WITH(submit(),
                      Catch::Contains("3 requests wait") && Catch::Contains("max_waiting_requests"));
    tasks.pop_back();
    gated.permits.release(100);
    for (const auto& ticket : tickets) {
      CHECK_FALSE(ticket->next());
      CHECK_NOTHROW(ticket->rethrow());
    }
    submit();  // there is room again
    CHECK_FALSE(tickets.back()->next());
  }
  CHECK(std::ranges::all_of(tasks, [](const SmallTask& task) { return task.n_results == 1; }));
  CHECK_THROWS_AS(EngineThread(gated.backend, gated.cache, 0), Error);
}

TEST_CASE("A request that waits can be cancelled and an error in one harms no other") {
  GatedBackend gated;
  EngineThread thread(gated.backend, gated.cache, 8);
  SmallTask first(gated, 1), second(gated, 2), third(gated, 3);
  const auto a = std::make_shared<Ticket>(), b = std::make_shared<Ticket>(), c = std::make_shared<Ticket>();
  thread.submit(first.run, CancelToken(), a);
  gated.entered.acquire();
  const CancelToken cancel;
  thread.submit(second.run, cancel, b);
  third.items[0].tokens[7] = 9999;
  thread.submit(third.run, CancelToken(), c);
  cancel.cancel();
  gated.permits.release(100);
  CHECK_FALSE(a->next());
  CHECK_NOTHROW(a->rethrow());
  CHECK_FALSE(b->next());
  CHECK_THROWS_WITH(b->rethrow(), "cancelled");
  CHECK_FALSE(c->next());
  CHECK_THROWS_WITH(c->rethrow(), Catch::Contains("9999"));
  SmallTask fourth(gated, 4);
  thread.run(fourth.run, CancelToken());
  CHECK(first.n_results + second.n_results + third.n_results + fourth.n_results == 2);
}

TEST_CASE("Text is given on the caller's thread and a slow reader holds up nobody") {
  const auto engine = tiny_engine();
  GenerateRequest request;
  request.prompt = some_tokens(30, 1);
  request.max_new_tokens = 40;
  const auto expected = engine->generate(request, {}, CancelToken());
  std::binary_semaphore reading{0}, go_on{0};
  std::string streamed;
  std::thread slow([&] {
    const auto own_id = std::this_thread::get_id();
    bool first = true;
    engine->generate(
        request,
        [&](std::string_view text) {
          CHECK(std::this_thread::get_id() == own_id);
          if (std::exchange(first, false)) {
            reading.release();
            go_on.acquire();
          }
          streamed += text;
          return true;
        },
        CancelToken());
  });
  reading.acquire();  // it is in its callback, and stays there
  CHECK(engine->generate(request, {}, CancelToken()).tokens == expected.tokens);
  go_on.release();
  slow.join();
  CHECK(streamed == expected.text);
}

TEST_CASE("However far the engine has gone a result ends where its reader stopped") {
  const auto engine = tiny_engine();
  GenerateRequest request;
  request.prompt = some_tokens(30, 1);
  request.max_new_tokens = 40;
  const auto all = engine->generate(request, {}, CancelToken());
  std::optional<GenerateResult> first;
  for (const bool by_token : {false, true}) {
    for (int round = 0; round < 20; ++round) {
      const CancelToken cancel;
      int calls = 0;
      const auto result = engine->generate(
          request,
          [&](std::string_view) {
            if (++calls < 3) return true;
            if (round % 2 == 1) std::this_thread::yield();
            if (by_token) cancel.cancel();
            return by_token;
          },
          cancel);
      CHECK(calls == 3);
      CHECK(result.finish_reason == FinishReason::kCancelled);
      if (!first) first = result;
      CHECK(result.tokens == first->tokens);
      CHECK(result.text == first->text);
      CHECK(result.new_tokens == static_cast<int>(result.tokens.size()));
      CHECK(all.text.compare(0, result.text.size(), result.text) == 0);
    }
  }
}

TEST_CASE("An exception of the reader reaches the caller and the engine goes on") {
  const auto engine = tiny_engine();
  GenerateRequest request;
  request.prompt = some_tokens(30, 1);
  request.max_new_tokens = 400;
  CHECK_THROWS_AS(
      engine->generate(
          request, [](std::string_view) -> bool { throw std::out_of_range("gone"); }, CancelToken()),
      std::out_of_range);
  request.max_new_tokens = 5;
  CHECK(engine->generate(request, {}, CancelToken()).new_tokens == 5);
}

TEST_CASE("The engine refuses a queue that holds nobody") {
  CHECK_THROWS_WITH(tiny_engine(512, 1, 0), Catch::Contains("at least one"));
}

// -- 64 threads ---------------------------------------------------------------------------------------------

namespace {

struct Answer {
  std::vector<int32_t> tokens;
  std::string text;
  std::vector<double> scores;
  std::vector<float> labels;
  bool cancelled = false;

  bool operator==(const Answer&) const = default;
};

std::vector<int32_t> prompt_of(int i) {
  auto prompt = some_tokens(140, i % 2);  // more than a page that many begin with
  const auto rest = some_tokens(10 + i % 30, i % 8);
  prompt.insert(prompt.end(), rest.begin(), rest.end());
  return prompt;
}

// `cancel_at`: text that comes with this call is the last; 0: none is.
Answer ask(Engine& engine, int i, int cancel_at, const CancelToken& cancel) {
  Answer answer;
  try {
    if (i % 4 == 1) {
      std::vector<ScoreItem> items;
      for (int j = 0; j < 4; ++j) items.push_back({prompt_of(i + 2 * (j / 2)), some_tokens(7, j % 2)});
      for (const auto& score : engine.score(items, cancel)) answer.scores.push_back(score.log_probability);
    } else if (i % 4 == 3) {
      const std::vector<int32_t> prompts[] = {prompt_of(i), prompt_of(i + 1), prompt_of(i)};
      answer.labels = engine.score_labels(prompts, std::vector<int32_t>{65, 66, i}, cancel);
    } else {
      GenerateRequest request;
      request.prompt = prompt_of(i);
      request.max_new_tokens = 10 + i;
      request.priority = i % 8 == 0 ? Priority::kBulk : Priority::kInteractive;
      request.sampling.temperature = i % 3 == 0 ? 0.9f : 0.0f;
      int calls = 0;
      const auto result = engine.generate(
          request, [&](std::string_view) { return ++calls != cancel_at; }, cancel);
      answer.tokens = result.tokens;
      answer.text = result.text;
      answer.cancelled = result.finish_reason == FinishReason::kCancelled;
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCancelled) throw;
    answer.cancelled = true;
  }
  return answer;
}

}  // namespace

TEST_CASE("What 64 threads ask for at once is what each gets alone") {
  constexpr int kThreads = 64;
  const auto cancel_at = [](int i) { return i % 16 == 4 ? 5 : 0; };
  std::vector<Answer> alone(kThreads), together(kThreads);
  {
    const auto engine = tiny_engine(2048);
    for (int i = 0; i < kThreads; ++i)
      alone[static_cast<size_t>(i)] = ask(*engine, i, cancel_at(i), CancelToken());
  }
  const auto engine = tiny_engine(/*kv_tokens=*/512, /*n_threads=*/2);  // pages for a few of them
  std::atomic<int> n_failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      try {
        together[static_cast<size_t>(i)] = ask(*engine, i, cancel_at(i), CancelToken());
      } catch (...) {
        ++n_failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(n_failed == 0);
  for (size_t i = 0; i < kThreads; ++i) {
    INFO("request " << i);
    CHECK((together[i] == alone[i]));
  }
}

TEST_CASE("Cancels from other threads at any moment harm nobody") {
  constexpr int kThreads = 16, kRounds = 6;
  std::vector<Answer> alone(kThreads);
  {
    const auto engine = tiny_engine(2048);
    for (int i = 0; i < kThreads; ++i) alone[static_cast<size_t>(i)] = ask(*engine, i, 0, CancelToken());
  }
  const auto engine = tiny_engine(512, 2);
  std::atomic<int> n_wrong = 0, n_cancelled = 0, n_running = kThreads;
  std::vector<CancelToken> cancels(kThreads * kRounds);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        const Answer got = ask(*engine, i, 0, cancels[static_cast<size_t>(i * kRounds + round)]);
        const Answer& expected = alone[static_cast<size_t>(i)];
        n_cancelled += got.cancelled;
        if (got.cancelled) {
          n_wrong += !std::equal(got.tokens.begin(), got.tokens.end(), expected.tokens.begin(),
                                 expected.tokens.begin() + static_cast<ptrdiff_t>(std::min(
                                                               got.tokens.size(), expected.tokens.size())));
        } else {
          n_wrong += !(got == expected);
        }
      }
      --n_running;
    });
  }
  std::thread killer([&] {
    std::mt19937 random(3);
    while (n_running > 0) {
      if (random() % 3 != 0) cancels[random() % cancels.size()].cancel();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (auto& thread : threads) thread.join();
  killer.join();
  CHECK(n_wrong == 0);
  // Whatever was cancelled, the pages are all there.
  GenerateRequest large;
  large.prompt = some_tokens(500, 1);
  large.max_new_tokens = 5;
  CHECK(engine->generate(large, {}, CancelToken()).new_tokens > 0);
}
