// What a careless or hostile caller does to an engine: every call ends with a result or with an Error, and
// the next one is served.
#include <sys/stat.h>

#include <atomic>
#include <climits>
#include <filesystem>
#include <limits>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/engine.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

constexpr int kContext = 256;

std::unique_ptr<Engine> tiny_engine(Engine::Options options = {}) {
  if (options.backend.n_threads == 0) options.backend.n_threads = 1;
  if (options.backend.kv_tokens == 0) options.backend.kv_tokens = kContext;
  return Engine::load(make_tiny_model(tiny_config()), options);
}

GenerateRequest request_of(int n_tokens, int max_new, int seed = 1) {
  GenerateRequest request;
  request.prompt = some_tokens(n_tokens, seed);
  request.max_new_tokens = max_new;
  return request;
}

template <typename Action>
std::optional<ErrorCode> code_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(std::string_view(error.what()).size() > 10);
    return error.code();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("Prompts around the context end at it or are refused") {
  const auto engine = tiny_engine();
  REQUIRE(engine->context_tokens() == kContext);
  const auto ask = [&](int n, int max_new) {
    return engine->generate(request_of(n, max_new), {}, CancelToken());
  };
  CHECK(code_of([&] { ask(0, 5); }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] { ask(1, -1); }) == ErrorCode::kInvalidArgument);
  for (const int n : {kContext, kContext + 1, 100 * kContext})
    CHECK(code_of([&] { ask(n, 5); }) == ErrorCode::kResourceExhausted);
  for (const int n : {1, 127, 128, 129, kContext - 2, kContext - 1}) {
    for (const int max_new : {0, 1, 2, INT_MAX}) {
      INFO(n << " tokens, at most " << max_new << " new");
      const auto result = ask(n, max_new);
      CHECK(result.prompt_tokens == n);
      CHECK(result.new_tokens <= std::min(max_new, kContext - n));
      CHECK(result.new_tokens == static_cast<int>(result.tokens.size()));
      if (max_new == 0) CHECK(result.finish_reason == FinishReason::kLength);
    }
  }
  const auto prompt = some_tokens(kContext - 7, 1);
  CHECK(engine->score(std::vector<ScoreItem>{{prompt, some_tokens(7, 2)}}, CancelToken())[0].n_tokens == 7);
  CHECK(code_of([&] {
          engine->score(std::vector<ScoreItem>{{prompt, some_tokens(8, 2)}}, CancelToken());
        }) == ErrorCode::kResourceExhausted);
  CHECK(engine->score({}, CancelToken()).empty());
  CHECK(engine->score_labels({}, std::vector<int32_t>{1}, CancelToken()).empty());
}

TEST_CASE("Extreme numbers in a request are served or refused") {
  const auto engine = tiny_engine();
  const auto with = [&](const auto& change) {
    GenerateRequest request = request_of(20, 30);
    change(request);
    return code_of([&] { engine->generate(request, {}, CancelToken()); });
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {kNan, kInfinity, -1.0f}) {
    CHECK(with([&](auto& r) { r.sampling.temperature = bad; }) == ErrorCode::kInvalidArgument);
    CHECK(with([&](auto& r) { r.sampling.top_p = bad; }) == ErrorCode::kInvalidArgument);
    CHECK(with([&](auto& r) { r.sampling.min_p = bad; }) == ErrorCode::kInvalidArgument);
    CHECK(with([&](auto& r) { r.sampling.repetition_penalty = bad; }) == ErrorCode::kInvalidArgument);
  }
  CHECK_FALSE(with([](auto& r) { r.sampling.temperature = 1e-40f; }));
  CHECK_FALSE(with([](auto& r) {
    r.sampling.temperature = 100;
    r.sampling.repetition_penalty = 100;
    r.sampling.top_k = INT_MAX;
  }));
  CHECK_FALSE(with([](auto& r) { r.sampling.top_p = 0; }));
  CHECK_FALSE(with([](auto& r) { r.max_draft_tokens = INT_MAX; }));
  CHECK(with([](auto& r) { r.max_draft_tokens = -1; }) == ErrorCode::kInvalidArgument);
  for (const int32_t id : {-1, INT_MIN, INT_MAX, tiny_config().vocab_size}) {
    CHECK(with([&](auto& r) { r.prompt[3] = id; }) == ErrorCode::kInvalidArgument);
    CHECK(code_of([&] {
            engine->score_labels(std::vector<std::vector<int32_t>>{{1, 2}}, std::vector<int32_t>{id},
                                 CancelToken());
          }) == ErrorCode::kInvalidArgument);
  }
  const std::vector<std::vector<int32_t>> prompts(3, {1, 2});
  CHECK(engine->score_labels(prompts, std::vector<int32_t>(1024, 7), CancelToken()).size() == 3 * 1024);
  CHECK(code_of([&] { engine->score_labels(prompts, std::vector<int32_t>(1025, 7), CancelToken()); }) ==
        ErrorCode::kInvalidArgument);
  CHECK(with([](auto& r) { r.stop = {"a", ""}; }) == ErrorCode::kInvalidArgument);
  CHECK_FALSE(with([](auto& r) { r.stop.assign(2000, std::string(1000, 'x')); }));
  CHECK_FALSE(with([](auto& r) { r.stop = {std::string("\xff\0\xfe", 3), std::string(1 << 20, 'y')}; }));
}

TEST_CASE("A grammar that cannot finish ends at the limit") {
  const auto engine = tiny_engine();
  GenerateRequest request = request_of(20, INT_MAX);
  SECTION("text that need not end") {
    request.grammar = Grammar::from_json_schema(
        Json::parse(R"({"type": "array", "minItems": 1000, "items": {"type": "integer"}})"));
  }
  SECTION("more than the context in one choice") {
    request.grammar = Grammar::choice(std::vector<std::string>{std::string(5 * kContext, 'a')});
  }
  const auto result = engine->generate(request, {}, CancelToken());
  CHECK(result.finish_reason == FinishReason::kLength);
  CHECK(result.prompt_tokens + result.new_tokens == kContext);
}

TEST_CASE("Engine options out of range are refused before anything is allocated") {
  const auto code = [](const Engine::Options& options) { return code_of([&] { tiny_engine(options); }); };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const int64_t n : {int64_t{-1}, int64_t{1} << 40, kMost - 1, kMost})
    CHECK(code({.backend = {.kv_tokens = n}}) == ErrorCode::kInvalidArgument);
  for (const int n : {-1, 100'000, INT_MAX})
    CHECK(code({.backend = {.n_threads = n}}) == ErrorCode::kInvalidArgument);
  for (const int n : {-1, INT_MIN})
    CHECK(code({.backend = {.prefill_chunk_tokens = n}}) == ErrorCode::kInvalidArgument);
  CHECK(code({.max_waiting_requests = 0}) == ErrorCode::kInvalidArgument);
  // The ends of what is allowed.
  for (const auto& options :
       {Engine::Options{.backend = {.n_threads = 100}}, Engine::Options{.backend = {.kv_tokens = 1}},
        Engine::Options{.backend = {.prefill_chunk_tokens = 1}},
        Engine::Options{.backend = {.prefill_chunk_tokens = INT_MAX}},
        Engine::Options{.max_waiting_requests = INT_MAX}}) {
    const auto engine = tiny_engine(options);
    CHECK(engine->generate(request_of(60, 5), {}, CancelToken()).prompt_tokens == 60);
  }
}

TEST_CASE("A callback may ask the engine again, however many do") {
  constexpr int kThreads = 40;  // more than can run at a time
  const auto engine = tiny_engine();
  const auto expected = engine->generate(request_of(30, 4, 2), {}, CancelToken()).tokens;
  std::atomic<int> n_inner = 0, n_wrong = 0;
  const auto ask = [&](int seed) {
    engine->generate(
        request_of(30, 6, seed),
        [&](std::string_view) {
          n_wrong += engine->generate(request_of(30, 4, 2), {}, CancelToken()).tokens != expected;
          engine->score(std::vector<ScoreItem>{{some_tokens(20), {1, 2}}}, CancelToken());
          ++n_inner;
          return true;
        },
        CancelToken());
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(ask, i);
  for (auto& thread : threads) thread.join();
  CHECK(n_inner >= kThreads);
  CHECK(n_wrong == 0);
}

TEST_CASE("Whatever a callback throws reaches its caller") {
  const auto engine = tiny_engine();
  for (int round = 0; round < 5; ++round) {
    CHECK_THROWS_AS(engine->generate(
                        request_of(30, 100), [](std::string_view) -> bool { throw 42; }, CancelToken()),
                    int);
  }
  // Also from within a request that its callback has made.
  CHECK_THROWS_AS(engine->generate(
                      request_of(30, 100),
                      [&](std::string_view) -> bool {
                        engine->generate(
                            request_of(25, 9), [](std::string_view) -> bool { throw 'c'; }, CancelToken());
                        return true;
                      },
                      CancelToken()),
                  char);
  CHECK(engine->generate(request_of(kContext - 1, 1), {}, CancelToken()).prompt_tokens == kContext - 1);
}

TEST_CASE("Beyond a short queue every request is served rightly or refused") {
  constexpr int kThreads = 80, kRounds = 4;
  const auto engine = tiny_engine({.backend = {.n_threads = 2}, .max_waiting_requests = 2});
  std::vector<std::vector<int32_t>> expected;
  for (int seed = 0; seed < 5; ++seed)
    expected.push_back(engine->generate(request_of(100, 20, seed), {}, CancelToken()).tokens);
  std::atomic<int> n_served = 0, n_refused = 0, n_wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const CancelToken cancelled;
      cancelled.cancel();
      for (int round = 0; round < kRounds; ++round) {
        const auto seed = static_cast<size_t>((i + round) % 5);
        try {
          const bool storm = i % 3 == 0;
          const auto result = engine->generate(request_of(100, 20, static_cast<int>(seed)), {},
                                               storm ? cancelled : CancelToken());
          ++n_served;
          n_wrong +=
              storm ? result.finish_reason != FinishReason::kCancelled : result.tokens != expected[seed];
        } catch (const Error& error) {
          ++n_refused;
          n_wrong += error.code() != ErrorCode::kResourceExhausted;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(n_served + n_refused == kThreads * kRounds);
  CHECK(n_served > 0);
  CHECK(n_wrong == 0);
}

TEST_CASE("Whatever happens to the folder of kept KV the answers are the same") {
  const TempFolder temp;
  const fs::path folder = temp.path() / "kv";
  const auto engine = tiny_engine({.kv_store = {.folder = folder}});
  std::vector<GenerateRequest> requests;
  std::vector<std::vector<int32_t>> expected;
  for (int i = 0; i < 3; ++i) {
    requests.push_back(request_of(150, 5, i));
    expected.push_back(tiny_engine()->generate(requests.back(), {}, CancelToken()).tokens);
    requests.back().keep_prefix_tokens = 140;
  }
  const auto check_all = [&] {
    const auto later = tiny_engine({.kv_store = {.folder = folder}});
    for (size_t i = 0; i < requests.size(); ++i) {
      CHECK(later->generate(requests[i], {}, CancelToken()).tokens == expected[i]);
      CHECK(engine->generate(requests[i], {}, CancelToken()).tokens == expected[i]);
    }
  };
  check_all();
  SECTION("damaged anywhere") {
    std::mt19937 random(5);
    for (int round = 0; round < 20; ++round) {
      for (const auto& entry : fs::directory_iterator(folder)) {
        std::string content = read_file(entry.path(), 1 << 24);
        if (content.empty()) continue;
        if (random() % 4 == 0) content.resize(random() % content.size());
        if (!content.empty()) content[random() % content.size()] ^= static_cast<char>(1 << random() % 8);
        write_file_atomically(entry.path(), content);
      }
      check_all();
    }
  }
  SECTION("files exchanged") {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    REQUIRE(files.size() == 3);
    fs::rename(files[0], temp.path() / "a");
    fs::rename(files[1], files[0]);
    fs::rename(files[2], files[1]);
    fs::rename(temp.path() / "a", files[2]);
    check_all();
  }
  SECTION("files that are folders, links in a circle and pipes") {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    for (const fs::path& file : files) fs::remove(file);
    fs::create_directory(files[0]);
    fs::create_symlink(files[1], files[1]);
    REQUIRE(::mkfifo(files[2].c_str(), 0600) == 0);
    check_all();
  }
  SECTION("deleted") {
    fs::remove_all(folder);
    for (size_t i = 0; i < requests.size(); ++i)
      CHECK(engine->generate(requests[i], {}, CancelToken()).tokens == expected[i]);
    check_all();
  }
  SECTION("a file in its place") {
    fs::remove_all(folder);
    write_file_atomically(folder, "no folder");
    for (size_t i = 0; i < requests.size(); ++i)
      CHECK(engine->generate(requests[i], {}, CancelToken()).tokens == expected[i]);
    CHECK(code_of([&] { tiny_engine({.kv_store = {.folder = folder}}); }) == ErrorCode::kIo);
  }
  SECTION("a folder in which nothing can be made") {
    const auto other = tiny_engine({.kv_store = {.folder = "/proc/self"}});
    CHECK(other->generate(requests[0], {}, CancelToken()).tokens == expected[0]);
  }
  SECTION("no room") {
    const auto other = tiny_engine({.kv_store = {.folder = folder, .max_bytes = 0}});
    CHECK(other->generate(requests[0], {}, CancelToken()).tokens == expected[0]);
  }
}

TEST_CASE("Beginnings nested as deep as the context fit into a cache of just that size") {
  constexpr int kLong = 4 * kContext;  // 32 branches, and 16 pages for them
  const auto base = some_tokens(kLong - 8, 3);
  std::vector<ScoreItem> items;
  for (size_t n = 8; n < base.size(); n += 16) {
    std::vector<int32_t> prompt(base.begin(), base.begin() + static_cast<ptrdiff_t>(n));
    prompt.push_back(static_cast<int32_t>(n % 256));
    items.push_back({prompt, {1, 2, 3}});
    prompt.back() = base[n];
    items.push_back({prompt, {4, 5, 6}});
  }
  items.push_back({base, {7, 8, 9}});
  std::vector<std::vector<int32_t>> prompts;
  for (const auto& item : items) prompts.push_back(item.prompt);
  const std::vector<int32_t> labels = {1, 2};
  const auto roomy = tiny_engine({.backend = {.kv_tokens = 8 * kLong}});
  const auto tight = tiny_engine({.backend = {.kv_tokens = kLong}});
  const auto expected = roomy->score(items, CancelToken());
  const auto got = tight->score(items, CancelToken());
  for (size_t i = 0; i < items.size(); ++i) {
    INFO("item " << i);
    CHECK(got[i].log_probability == expected[i].log_probability);
  }
  CHECK(tight->score_labels(prompts, labels, CancelToken()) ==
        roomy->score_labels(prompts, labels, CancelToken()));
  // And beside others that are read at the same time.
  std::atomic<int> n_wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      try {
        if (i % 2 == 0) {
          const auto scores = tight->score(items, CancelToken());
          for (size_t j = 0; j < items.size(); ++j)
            n_wrong += scores[j].log_probability != expected[j].log_probability;
        } else {
          n_wrong += tight->generate(request_of(200, 40, i), {}, CancelToken()).prompt_tokens != 200;
        }
      } catch (const Error& error) {
        ++n_wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(n_wrong == 0);
}
