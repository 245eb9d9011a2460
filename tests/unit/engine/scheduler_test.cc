// The scheduler, stepped by hand: no thread, no clock.
#include "engine/scheduler.h"

#include <algorithm>
#include <list>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "engine/generation.h"
#include "engine/shared_prefix.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/recording_backend.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

constexpr int kChunk = 64;  // tokens of a step
constexpr int kStreamingChunk = kChunk / 8;

// A model that never says that its answer ends.
std::shared_ptr<ModelFile> endless_model() {
  auto model = make_tiny_model(tiny_config());
  const Matrix& head = model->weights().lm_head;
  auto* rows = reinterpret_cast<float*>(const_cast<std::byte*>(head.data.data()));
  std::fill(rows + 256 * head.cols, rows + head.rows * head.cols, 0.0f);
  return model;
}

struct Request {
  GenerateRequest generate;
  std::vector<PrefixItem> items;
  std::vector<int32_t> labels;
  std::vector<std::vector<float>> logits;  // by item
  std::unique_ptr<Task> task;
  std::string text;  // as it came
  CancelToken cancel, withdrawn;
  bool ended = false;
  std::exception_ptr error;
  std::optional<GenerateResult> taken;

  const GenerateResult& result() {
    if (error) std::rethrow_exception(error);
    if (!taken) taken = dynamic_cast<Generation&>(*task).take_result(std::nullopt);
    return *taken;
  }
};

struct Fixture {
  explicit Fixture(int64_t kv_tokens = 4096, int chunk = kChunk)
      : model(endless_model()),
        tokenizer(model->vocabulary(), "tiny"),
        backend(make_cpu_backend(
            model, {.n_threads = 1, .kv_tokens = kv_tokens, .prefill_chunk_tokens = chunk}, {})),
        cache(backend),
        scheduler(backend, cache),
        context_tokens(static_cast<int>(kv_tokens)) {}

  Request& generate(std::vector<int32_t> prompt, int n_new, Priority priority = Priority::kInteractive) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_new_tokens = n_new;
    request.max_draft_tokens = 0;
    request.priority = priority;
    return generate(request);
  }

  Request& generate(const GenerateRequest& what) {
    Request& request = requests.emplace_back();
    request.generate = what;
    const Generation::Model parts = {backend.kv_pages(), cache, tokenizer, stop_tokens, context_tokens};
    Generation::Sink sink;
    sink.text = [&](std::string text, int) { request.text += text; };
    request.task = std::make_unique<Generation>(parts, request.generate, std::move(sink));
    return add(request);
  }

  Request& score(std::vector<PrefixItem> items, std::vector<int32_t> labels = {},
                 Priority priority = Priority::kBulk) {
    Request& request = requests.emplace_back();
    request.items = std::move(items);
    request.labels = std::move(labels);
    request.logits.resize(request.items.size());
    request.task = std::make_unique<SharedPrefixRun>(
        backend.kv_pages(), cache, request.items, request.labels, priority,
        [&](size_t item, int, int, std::span<float> logits) {
          request.logits[item].insert(request.logits[item].end(), logits.begin(), logits.end());
        });
    return add(request);
  }

  Request& add(Request& request) {
    scheduler.add(*request.task, request.cancel, request.withdrawn, [&](std::exception_ptr error) {
      request.ended = true;
      request.error = std::move(error);
    });
    return request;
  }

  // The batch of the next step.
  const RecordingBackend::Batch& step() {
    backend.batches.clear();
    scheduler.step();
    REQUIRE(backend.batches.size() == 1);
    return backend.batches.front();
  }
  void run() {
    while (scheduler.step()) {
    }
  }

  std::shared_ptr<ModelFile> model;
  Tokenizer tokenizer;
  RecordingBackend backend;
  PrefixCache cache;
  Scheduler scheduler;
  int context_tokens;
  std::vector<int32_t> stop_tokens = {256, 258};
  std::list<Request> requests;
};

std::vector<int32_t> alone(const GenerateRequest& request, int64_t kv_tokens = 4096) {
  Fixture fixture(kv_tokens);
  Request& only = fixture.generate(request);
  fixture.run();
  return only.result().tokens;
}

std::vector<int32_t> concat(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// How many tokens of `tokens` a batch reads; single ones could be anybody's.
int tokens_of(const RecordingBackend::Batch& batch, const std::vector<int32_t>& tokens) {
  int n = 0;
  for (const auto& slice : batch) {
    const auto first = static_cast<size_t>(slice.first_position);
    if (slice.tokens.size() == 1 || first + slice.tokens.size() > tokens.size()) continue;
    if (std::equal(slice.tokens.begin(), slice.tokens.end(),
                   tokens.begin() + static_cast<ptrdiff_t>(first))) {
      n += static_cast<int>(slice.tokens.size());
    }
  }
  return n;
}

int size_of(const RecordingBackend::Batch& batch) {
  int n = 0;
  for (const auto& slice : batch) n += static_cast<int>(slice.tokens.size());
  return n;
}

ErrorCode code_of(const std::exception_ptr& error) {
  REQUIRE(error);
  try {
    std::rethrow_exception(error);
  } catch (const Error& what) {
    return what.code();
  }
}

}  // namespace

TEST_CASE("Requests served together get what each gets alone") {
  const auto grammar = Grammar::from_json_schema(parse_json(
      R"({"type":"object","properties":{"a":{"type":"string","maxLength":20},"b":{"enum":["x","yy"]}}})",
      "test"));
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 24; ++i) {
    GenerateRequest request;
    // Some begin alike, some are equal, some repeat themselves, so that guesses are right.
    request.prompt = concat(some_tokens(10 + 40 * (i % 4), i % 3), some_tokens(5 + i % 7, i % 5));
    if (i % 6 == 0) request.prompt = Fixture().tokenizer.encode("over and over and over and over and");
    request.max_new_tokens = 1 + 7 * (i % 5);
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 0.8f;
    request.sampling.seed = static_cast<uint64_t>(i);
    if (i % 5 == 0) request.grammar = grammar;
    if (i % 4 == 0) request.stop = {"e", "zz"};
    request.priority = i % 3 == 0 ? Priority::kBulk : Priority::kInteractive;
    requests.push_back(request);
  }
  Fixture fixture;
  std::vector<Request*> together;
  for (size_t i = 0; i < requests.size(); ++i) {
    together.push_back(&fixture.generate(requests[i]));
    if (i % 3 == 0) fixture.scheduler.step();  // they come one after the other
  }
  std::vector<PrefixItem> items;
  for (int i = 0; i < 9; ++i)
    items.push_back({concat(some_tokens(90, 1), some_tokens(30, i / 2)), 1 + i % 3});
  const Request& scored = fixture.score(items);
  const Request& labelled = fixture.score(items, {3, 200});
  fixture.run();
  for (size_t i = 0; i < requests.size(); ++i) {
    INFO("request " << i);
    Fixture own;
    Request& only = own.generate(requests[i]);
    own.run();
    const GenerateResult &expected = only.result(), &got = together[i]->result();
    CHECK(got.tokens == expected.tokens);
    CHECK(got.text == expected.text);
    CHECK(got.text == together[i]->text);
    CHECK(got.finish_reason == expected.finish_reason);
  }
  REQUIRE_FALSE(scored.error);
  REQUIRE_FALSE(labelled.error);
  for (size_t i = 0; i < items.size(); ++i) {
    Fixture own;
    KvSequence sequence(own.backend.kv_pages());
    const auto expected = run(own.backend, sequence, items[i].tokens, items[i].n_logits);
    CHECK(scored.logits[i] == expected);
    for (size_t row = 0; row < static_cast<size_t>(items[i].n_logits); ++row) {
      CHECK(labelled.logits[i][2 * row] == expected[272 * row + 3]);
      CHECK(labelled.logits[i][2 * row + 1] == expected[272 * row + 200]);
    }
  }
  CHECK(fixture.backend.kv_pages().n_free() + fixture.cache.n_reclaimable() ==
        fixture.backend.kv_pages().n_pages());
}

TEST_CASE("Every step holds one token of each generation and a small part of a prompt") {
  Fixture fixture;
  for (int i = 0; i < 3; ++i) fixture.generate({i, i + 1, i + 2}, 100);
  CHECK(size_of(fixture.step()) == 9);  // three prompts
  const auto prompt = some_tokens(300, 9);
  fixture.generate(prompt, 1);
  for (int done = 0; done + kStreamingChunk <= 300; done += kStreamingChunk) {
    const auto& batch = fixture.step();
    REQUIRE(batch.size() == 4);
    CHECK(size_of(batch) == 3 + kStreamingChunk);
    CHECK(tokens_of(batch, prompt) == kStreamingChunk);
  }
}

TEST_CASE("A lone prompt gets whole steps") {
  Fixture fixture;
  fixture.generate(some_tokens(3 * kChunk + 5), 1);
  for (int i = 0; i < 3; ++i) CHECK(size_of(fixture.step()) == kChunk);
  CHECK(size_of(fixture.step()) == 5);
}

TEST_CASE("Bulk work gets a quarter of the step while interactive work has plenty") {
  Fixture fixture;
  const auto bulk = some_tokens(900, 1);
  std::vector<std::vector<int32_t>> prompts;
  fixture.score({{bulk, 1}});
  for (int i = 0; i < 4; ++i) {
    prompts.push_back(some_tokens(300, 10 + i));
    fixture.generate(prompts.back(), 1);
  }
  for (int i = 0; i < 8; ++i) {
    const auto& batch = fixture.step();
    CHECK(tokens_of(batch, bulk) == kChunk / 4);
    CHECK(size_of(batch) == kChunk);
  }
  fixture.run();
  for (const Request& request : fixture.requests) CHECK_FALSE(request.error);
}

TEST_CASE("Interactive work gets three quarters of the step however much bulk work there is") {
  Fixture fixture;
  for (int i = 0; i < 6; ++i) fixture.score({{some_tokens(900, 20 + i), 1}});
  fixture.step();
  const auto prompt = some_tokens(400, 1);
  fixture.generate(prompt, 1);
  for (int i = 0; i < 5; ++i) CHECK(tokens_of(fixture.step(), prompt) == kChunk * 3 / 4);
}

TEST_CASE("However short the steps are nobody is starved") {
  const int chunk = GENERATE(1, 2, 4, 7, 15, 31);
  Fixture fixture(4096, chunk);
  const bool streaming = GENERATE(false, true);  // while somebody reads an answer
  INFO("steps of " << chunk << ", streaming " << streaming);
  if (streaming) {
    fixture.generate({1, 2}, 1000);
    for (int i = 0; i < 3; ++i) fixture.step();
  }
  const Request& bulk = fixture.score({{some_tokens(900, 20), 1}});
  for (int i = 1; i < 6; ++i) fixture.score({{some_tokens(900, 20 + i), 1}});
  const Request& long_one = fixture.generate(some_tokens(900, 2), 1);
  const Request& short_one = fixture.generate(some_tokens(20, 3), 1);
  for (int i = 0; i < 20; ++i) fixture.step();
  CHECK(bulk.task->n_tokens_left() <= 900 - 20);
  CHECK(long_one.task->n_tokens_left() <= 900 - 20);
  CHECK(short_one.ended);
}

TEST_CASE("Scoring in pieces lets a generation through at every step") {
  Fixture fixture;
  std::vector<PrefixItem> items;
  for (int i = 0; i < 40; ++i) items.push_back({concat(some_tokens(70, 1), some_tokens(50, 10 + i)), 1});
  const Request& scored = fixture.score(items);
  fixture.step();
  Request& asked = fixture.generate(some_tokens(20, 99), 30);
  int n_steps = 0;
  for (; !asked.ended; ++n_steps) fixture.step();
  CHECK(n_steps == 30);
  CHECK_FALSE(scored.ended);
  fixture.run();
  CHECK(scored.ended);
}

TEST_CASE("A short prompt does not wait behind long ones") {
  Fixture fixture;
  for (int i = 0; i < 5; ++i) fixture.generate(some_tokens(900, i), 1);
  fixture.step();
  Request& later = fixture.generate(some_tokens(20, 77), 1);
  fixture.step();
  CHECK(later.ended);
  // And the long ones are not starved by short ones: the first gets half of every step.
  for (int i = 0; i < 10; ++i) {
    for (int j = 0; j < 4; ++j) fixture.generate(some_tokens(30, 100 + 4 * i + j), 1);
    CHECK(tokens_of(fixture.step(), some_tokens(900, 0)) >= kChunk / 2);
  }
}

TEST_CASE("A cancelled request leaves with the next step and the others go on") {
  Fixture fixture;
  GenerateRequest what;
  what.prompt = some_tokens(30, 1);
  what.max_new_tokens = 40;
  Request& stays = fixture.generate(what);
  Request& decoding = fixture.generate(some_tokens(12, 2), 40);
  const auto prompt = some_tokens(800, 3);
  Request& reading = fixture.generate(prompt, 40);
  Request& scoring = fixture.score({{some_tokens(800, 4), 1}});
  for (int i = 0; i < 5; ++i) fixture.step();
  decoding.cancel.cancel();
  reading.withdrawn.cancel();
  scoring.cancel.cancel();
  CHECK(fixture.step().size() == 1);
  CHECK(decoding.ended);
  CHECK(decoding.result().finish_reason == FinishReason::kCancelled);
  CHECK(reading.ended);
  CHECK(reading.result().new_tokens == 0);
  CHECK(scoring.ended);
  CHECK(code_of(scoring.error) == ErrorCode::kCancelled);
  fixture.run();
  CHECK(stays.result().tokens == alone(what));
  CHECK(fixture.backend.kv_pages().n_free() + fixture.cache.n_reclaimable() ==
        fixture.backend.kv_pages().n_pages());
}

TEST_CASE("A request that is cancelled while it waits never runs") {
  Fixture fixture(256);
  fixture.generate(some_tokens(240, 1), 5);
  fixture.generate(some_tokens(240, 2), 5).cancel.cancel();
  CHECK(tokens_of(fixture.step(), some_tokens(240, 2)) == 0);
  CHECK(fixture.requests.back().ended);
  CHECK(fixture.requests.back().result().finish_reason == FinishReason::kCancelled);
}

TEST_CASE("Requests that outgrow the cache are put back and give the same") {
  // 11 pages with the spare ones: answers that take three do not fit together, though their prompts do.
  constexpr int64_t kTokens = 384;
  Fixture fixture(kTokens);
  std::vector<GenerateRequest> whats;
  for (int i = 0; i < 12; ++i) {
    GenerateRequest what;
    what.prompt = some_tokens(20 + 3 * i, i);
    what.max_new_tokens = 290 + i;
    what.sampling.temperature = i % 2 == 0 ? 0.0f : 0.7f;
    what.priority = i % 4 == 1 ? Priority::kBulk : Priority::kInteractive;
    whats.push_back(what);
    fixture.generate(what);
  }
  std::vector<PrefixItem> items;
  for (int i = 0; i < 6; ++i) items.push_back({concat(some_tokens(150, 5), some_tokens(60, i)), 40});
  const Request& scored = fixture.score(items);
  fixture.run();
  CHECK(fixture.scheduler.stats().put_back > 0);
  auto request = fixture.requests.begin();
  for (size_t i = 0; i < whats.size(); ++i, ++request) {
    INFO("request " << i);
    CHECK(request->result().tokens == alone(whats[i], kTokens));
  }
  REQUIRE_FALSE(scored.error);
  for (size_t i = 0; i < items.size(); ++i) {
    Fixture own;
    KvSequence sequence(own.backend.kv_pages());
    CHECK(scored.logits[i] == run(own.backend, sequence, items[i].tokens, items[i].n_logits));
  }
}

TEST_CASE("The oldest request is never put back and bulk work that waits for pages gets them") {
  Fixture fixture(256);
  Request& bulk = fixture.generate(some_tokens(20, 1), 200, Priority::kBulk);
  fixture.step();
  int n_started = 0;
  while (!bulk.ended) {
    // There are always as many interactive requests as can run.
    while (fixture.requests.size() < static_cast<size_t>(n_started) + 40) {
      fixture.generate(some_tokens(100, static_cast<int>(fixture.requests.size())), 60);
    }
    n_started += 1;
    fixture.scheduler.step();
    REQUIRE(n_started <= 201);  // a token with every step
  }
  CHECK(bulk.result().new_tokens == 200);
}

TEST_CASE("What can never fit fails and harms nobody") {
  Fixture fixture(128);
  const auto n_pages = fixture.backend.kv_pages().n_pages();
  fixture.context_tokens = 10000;
  GenerateRequest what;
  what.prompt = some_tokens(100, 2);
  what.max_new_tokens = 10;
  Request& first = fixture.generate(what);
  Request& huge = fixture.generate(some_tokens(kKvPageTokens * n_pages + 1, 1), 1);
  Request& last = fixture.generate(what);
  fixture.run();
  CHECK(code_of(huge.error) == ErrorCode::kResourceExhausted);
  CHECK(first.result().tokens == alone(what, 128));
  CHECK(last.result().tokens == first.result().tokens);
}

TEST_CASE("An error in a batch ends the request that caused it and no other") {
  Fixture fixture;
  constexpr int32_t kPoison = 255;
  fixture.backend.before_forward = [](const ForwardBatch& batch) {
    for (const SequenceSlice& slice : batch.sequences) {
      if (slice.tokens.front() == kPoison) throw Error(ErrorCode::kCorrupt, "poison");
    }
  };
  std::vector<GenerateRequest> whats(4);
  for (int i = 0; i < 4; ++i) {
    whats[static_cast<size_t>(i)].prompt = some_tokens(20, i);
    whats[static_cast<size_t>(i)].max_new_tokens = 10;
  }
  fixture.generate(whats[0]);
  fixture.step();
  fixture.generate(whats[1]);
  Request& bad = fixture.generate({kPoison, 1, 2}, 5);
  Request& bad_score = fixture.score({{{kPoison, 7, 8}, 1}});
  const Request& good_score = fixture.score({{some_tokens(30, 8), 1}});
  fixture.generate(whats[2]);
  fixture.run();
  CHECK(code_of(bad.error) == ErrorCode::kCorrupt);
  CHECK(code_of(bad_score.error) == ErrorCode::kCorrupt);
  CHECK(good_score.logits.front() == run_last(fixture.backend, some_tokens(30, 8)));
  auto request = fixture.requests.begin();
  CHECK((request++)->result().tokens == alone(whats[0]));
  CHECK((request++)->result().tokens == alone(whats[1]));
  CHECK(fixture.requests.back().result().tokens == alone(whats[2]));
  // What a task itself throws, as for ids that nothing has checked.
  Request& outside = fixture.generate({5000, 1}, 5);
  fixture.generate(whats[3]);
  fixture.run();
  CHECK(code_of(outside.error) == ErrorCode::kInvalidArgument);
  CHECK(fixture.requests.back().result().tokens == alone(whats[3]));
}

TEST_CASE("A beginning that is being read is not read again") {
  Fixture fixture;
  const auto beginning = some_tokens(400, 1);
  constexpr int kRequests = 5;
  for (int i = 0; i < kRequests; ++i) {
    fixture.generate(concat(beginning, some_tokens(10, 50 + i)), 1);
    fixture.scheduler.step();
  }
  fixture.run();
  CHECK(fixture.backend.n_tokens() == 400 + kRequests * 10);
  for (Request& request : fixture.requests) {
    CHECK(request.result().cached_prompt_tokens == (&request == &fixture.requests.front() ? 0 : 400));
  }
  CHECK(fixture.requests.back().result().tokens == alone(fixture.requests.back().generate));
}

TEST_CASE("The beginning of a generation that still writes is shared") {
  Fixture fixture;
  const auto prompt = some_tokens(300, 1);
  fixture.generate(prompt, 200);
  for (int i = 0; i < 10; ++i) fixture.step();
  Request& second = fixture.generate(prompt, 1);
  fixture.step();
  CHECK(second.ended);
  CHECK(second.result().cached_prompt_tokens == 299);
  CHECK(fixture.scheduler.stats().shared_tokens == 299);
}

TEST_CASE("Who waits for another's beginning goes on when that one is cancelled") {
  Fixture fixture;
  const auto beginning = some_tokens(400, 1);
  Request& first = fixture.generate(concat(beginning, {1}), 1);
  Request& second = fixture.generate(concat(beginning, {2}), 1);
  for (int i = 0; i < 3; ++i) fixture.step();
  first.cancel.cancel();
  fixture.run();
  CHECK(second.result().tokens == alone(second.generate));
  // What the first had read is not lost.
  CHECK(second.result().cached_prompt_tokens == 3 * kChunk);
}

TEST_CASE("An interactive request does not wait for bulk work with the same beginning") {
  Fixture fixture;
  const auto beginning = some_tokens(400, 1);
  for (int i = 0; i < 2; ++i)
    fixture.generate(some_tokens(900, 7 + i), 1);  // what the bulk work waits behind
  fixture.score({{concat(beginning, {1}), 1}});
  fixture.step();
  Request& asked = fixture.generate(concat(beginning, {2}), 1);
  const auto& batch = fixture.step();
  CHECK(tokens_of(batch, concat(beginning, {2})) > kChunk / 4);
  fixture.run();
  CHECK(asked.result().tokens == alone(asked.generate));
}

TEST_CASE("Two scoring runs over the same chunk read it once") {
  Fixture fixture;
  const auto chunk = some_tokens(300, 1);
  std::vector<PrefixItem> a, b;
  for (int i = 0; i < 3; ++i) {
    a.push_back({concat(chunk, some_tokens(20, 30 + i)), 1});
    b.push_back({concat(chunk, some_tokens(20, 60 + i)), 1});
  }
  fixture.score(a);
  fixture.score(b, {1, 2});
  fixture.run();
  CHECK(fixture.backend.n_tokens() == 300 + 6 * 20);
}

TEST_CASE("At any moment and with any cancels the results are the same") {
  const auto seed = GENERATE(1u, 2u, 3u);
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Fixture fixture(384, 48);
  std::vector<std::pair<Request*, GenerateRequest>> all;
  for (int i = 0; i < 60; ++i) {
    GenerateRequest what;
    what.prompt = concat(some_tokens(below(200) + 1, below(2)), some_tokens(below(40) + 1, below(100)));
    what.max_new_tokens = below(60);
    what.sampling.temperature = below(2) == 0 ? 0.0f : 1.0f;
    what.priority = below(3) == 0 ? Priority::kBulk : Priority::kInteractive;
    all.emplace_back(&fixture.generate(what), what);
    for (int steps = below(6); steps > 0; --steps) fixture.scheduler.step();
    if (below(3) == 0) all[static_cast<size_t>(below(static_cast<int>(all.size())))].first->cancel.cancel();
  }
  fixture.run();
  for (const auto& [request, what] : all) {
    const GenerateResult& got = request->result();
    const std::vector<int32_t> expected = alone(what, 384);
    REQUIRE(got.tokens.size() <= expected.size());
    CHECK(std::equal(got.tokens.begin(), got.tokens.end(), expected.begin()));
    if (got.finish_reason != FinishReason::kCancelled) CHECK(got.tokens.size() == expected.size());
  }
  CHECK(fixture.backend.kv_pages().n_free() + fixture.cache.n_reclaimable() ==
        fixture.backend.kv_pages().n_pages());
}
