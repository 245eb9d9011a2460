#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

constexpr int32_t kImEnd = 258;
constexpr int kKnownIds = 259;  // what the tiny tokenizer knows of the 272 rows

std::unique_ptr<Engine> engine_of(std::shared_ptr<const ModelFile> model, int64_t kv_tokens = 1024,
                                  KvType kv_type = KvType::kF16) {
  return Engine::load(std::move(model),
                      {.backend = {.n_threads = 1, .kv_tokens = kv_tokens, .kv_type = kv_type}});
}

// A model that says printable ASCII only: the other rows of its head give logits of 0, below the best.
std::shared_ptr<ModelFile> ascii_model(const Qwen2Config& config = tiny_config()) {
  auto model = make_tiny_model(config);
  const Matrix& head = model->weights().lm_head;
  auto* rows = reinterpret_cast<float*>(const_cast<std::byte*>(head.data.data()));
  for (int r = 0; r < head.rows; ++r) {
    if (r < ' ' || r > '~') std::fill_n(rows + r * head.cols, head.cols, 0.0f);
  }
  return model;
}

std::unique_ptr<Engine> tiny_engine(KvType kv_type = KvType::kF16) {
  return engine_of(ascii_model(), 1024, kv_type);
}

GenerateRequest request_of(std::vector<int32_t> prompt, int max_new_tokens) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = max_new_tokens;
  return request;
}

GenerateResult generate(Engine& engine, const GenerateRequest& request) {
  return engine.generate(request, {}, CancelToken());
}

// What greedy decoding gives by definition: the whole sequence through the model for every token.
std::vector<int32_t> greedy(Backend& backend, std::vector<int32_t> tokens, int n) {
  const size_t begin = tokens.size();
  for (int i = 0; i < n; ++i) {
    const auto logits = run_last(backend, tokens);
    tokens.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.begin() + kKnownIds) - logits.begin()));
  }
  return {tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.end()};
}

// Makes `token` likelier than `than` wherever `than` has a positive logit.
void make_likelier(const ModelFile& model, int32_t token, int32_t than) {
  const Matrix& head = model.weights().lm_head;
  REQUIRE(head.dtype == DType::kF32);
  auto* rows = reinterpret_cast<float*>(const_cast<std::byte*>(head.data.data()));
  for (int i = 0; i < head.cols; ++i) rows[token * head.cols + i] = 1.5f * rows[than * head.cols + i];
}

ErrorCode code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("no error");
  return {};
}

}  // namespace

TEST_CASE("Engine generates what greedy decoding gives by definition") {
  const auto engine = tiny_engine(GENERATE(KvType::kF16, KvType::kInt8));
  const auto prompt = some_tokens(140);
  const auto expected = greedy(engine->backend(), prompt, 20);
  std::string streamed;
  const auto result = engine->generate(
      request_of(prompt, 20),
      [&](std::string_view text) {
        CHECK(utf8::is_valid(text));
        CHECK_FALSE(text.empty());
        streamed += text;
        return true;
      },
      CancelToken());
  CHECK(result.tokens == expected);
  CHECK(result.finish_reason == FinishReason::kLength);
  CHECK(result.prompt_tokens == 140);
  CHECK(result.cached_prompt_tokens == 0);
  CHECK(result.new_tokens == 20);
  CHECK(result.text == streamed);
  CHECK(result.text == utf8::repair(engine->tokenizer().decode(result.tokens)));
}

TEST_CASE("A request that begins like an earlier one reuses its keys and values") {
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto engine = tiny_engine(kv_type);
  const auto prompt = some_tokens(140);
  const auto first = generate(*engine, request_of(prompt, 20));
  // All but the last token, whose logits are needed.
  const auto again = generate(*engine, request_of(prompt, 20));
  CHECK(again.cached_prompt_tokens == 139);
  CHECK(again.tokens == first.tokens);
  // The conversation goes on: the answer but for its last token was read as well.
  auto longer = prompt;
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
  longer.insert(longer.end(), {1, 2, 3});
  const auto next = generate(*engine, request_of(longer, 5));
  CHECK(next.cached_prompt_tokens == 159);
  CHECK(next.tokens == generate(*tiny_engine(kv_type), request_of(longer, 5)).tokens);
  // Another question about the same beginning.
  auto other = prompt;
  other[100] ^= 1;
  const auto branched = generate(*engine, request_of(other, 5));
  CHECK(branched.cached_prompt_tokens == 100);
  CHECK(branched.tokens == generate(*tiny_engine(kv_type), request_of(other, 5)).tokens);
}

TEST_CASE("A stop token ends the answer and is not part of it") {
  const auto model = ascii_model();
  const auto prompt = some_tokens(10);
  const auto before = generate(*engine_of(model), request_of(prompt, 20)).tokens;
  make_likelier(*model, kImEnd, before[6]);
  const auto engine = engine_of(model);
  const auto result = generate(*engine, request_of(prompt, 20));
  CHECK(result.finish_reason == FinishReason::kStop);
  REQUIRE(result.tokens.size() <= 6);
  CHECK(std::equal(result.tokens.begin(), result.tokens.end(), before.begin()));
  const auto again = greedy(engine->backend(), prompt, result.new_tokens + 1);
  CHECK(again.back() == kImEnd);
}

TEST_CASE("A stop string ends the answer and is not part of it") {
  const auto engine = tiny_engine();
  const auto free = generate(*engine, request_of(some_tokens(10), 30));
  // Characters from the middle, which lie over several tokens.
  size_t begin = free.text.size() / 2;
  while ((free.text[begin] & 0xC0) == 0x80) ++begin;
  const auto stop = std::string(utf8::prefix(std::string_view(free.text).substr(begin), 6));
  auto request = request_of(some_tokens(10), 30);
  request.stop = {"never", stop};
  std::string streamed;
  const auto result = engine->generate(
      request,
      [&](std::string_view text) {
        streamed += text;
        return true;
      },
      CancelToken());
  CHECK(result.finish_reason == FinishReason::kStop);
  CHECK(result.text == free.text.substr(0, free.text.find(stop)));
  CHECK(streamed == result.text);
  CHECK(result.new_tokens < free.new_tokens);
  request.stop = {""};
  CHECK(code_of([&] { generate(*engine, request); }) == ErrorCode::kInvalidArgument);
}

TEST_CASE("A generation can be stopped by the callback and by the token") {
  const auto engine = tiny_engine();
  const auto free = generate(*engine, request_of(some_tokens(10), 30));
  int calls = 0;
  const auto refused = engine->generate(
      request_of(some_tokens(10), 30), [&](std::string_view) { return ++calls < 3; }, CancelToken());
  CHECK(refused.finish_reason == FinishReason::kCancelled);
  CHECK(calls == 3);
  CHECK(refused.new_tokens < 30);
  CHECK(free.text.compare(0, refused.text.size(), refused.text) == 0);

  const CancelToken cancel;
  calls = 0;
  const auto cancelled = engine->generate(
      request_of(some_tokens(10), 30),
      [&](std::string_view) {
        if (++calls == 3) cancel.cancel();
        return true;
      },
      cancel);
  CHECK(cancelled.finish_reason == FinishReason::kCancelled);
  CHECK(cancelled.text == refused.text);
  CHECK(engine->generate(request_of({1}, 5), {}, cancel).new_tokens == 0);
  // The engine is as good as before.
  CHECK(generate(*engine, request_of(some_tokens(10), 30)).tokens == free.tokens);
}

TEST_CASE("Nothing is cut silently when the context is too small") {
  const auto engine = engine_of(ascii_model(), 256);
  CHECK(engine->context_tokens() == 256);
  CHECK(code_of([&] { generate(*engine, request_of(some_tokens(256), 1)); }) ==
        ErrorCode::kResourceExhausted);
  CHECK_THROWS_WITH(generate(*engine, request_of(some_tokens(300), 1)),
                    Catch::Contains("301") && Catch::Contains("256"));
  const auto full = generate(*engine, request_of(some_tokens(250), 100));
  CHECK(full.finish_reason == FinishReason::kLength);
  CHECK(full.new_tokens == 6);
  CHECK(full.tokens == greedy(engine->backend(), some_tokens(250), 6));
  // Larger than the model's own context: that is the limit then.
  Qwen2Config config = tiny_config();
  config.max_position_embeddings = 200;
  CHECK(engine_of(ascii_model(config))->context_tokens() == 200);
}

TEST_CASE("A limit of the context is exact and holds beside the model's and the cache's") {
  const auto limited = [](int limit) {
    return Engine::load(ascii_model(),
                        {.backend = {.n_threads = 1, .kv_tokens = 512, .max_context_tokens = limit}});
  };
  const auto engine = limited(200);
  CHECK(engine->context_tokens() == 200);
  CHECK_THROWS_WITH(generate(*engine, request_of(some_tokens(200), 1)),
                    Catch::Contains("limited to 200") && Catch::Contains("raise the limit"));
  CHECK(generate(*engine, request_of(some_tokens(190), 100)).new_tokens == 10);
  CHECK(limited(1 << 20)->context_tokens() == 512);
  CHECK(code_of([&] { limited(-1); }) == ErrorCode::kInvalidArgument);
  // Without a capacity the cache is no larger than the limit.
  const auto small = Engine::load(ascii_model(), {.backend = {.n_threads = 1, .max_context_tokens = 256}});
  CHECK(small->backend().options().kv_tokens == 256);
}

TEST_CASE("How much of a prompt has been read is told after every step") {
  const auto model = ascii_model();
  const auto engine =
      Engine::load(model, {.backend = {.n_threads = 1, .kv_tokens = 1024, .prefill_chunk_tokens = 100}});
  std::vector<int> read;
  GenerateRequest request = request_of(some_tokens(250), 5);
  request.on_prompt_read = [&](int n) { read.push_back(n); };
  const GenerateResult result = generate(*engine, request);
  CHECK(read == std::vector<int>{100, 200, 250});
  CHECK(result.tokens == generate(*tiny_engine(), request_of(some_tokens(250), 5)).tokens);
  // What is known already is not read.
  read.clear();
  generate(*engine, request);
  CHECK(read == std::vector<int>{250});
  // A receiver that throws ends the request, and the engine goes on.
  request.prompt = some_tokens(250, 9);
  request.on_prompt_read = [](int) { throw std::runtime_error("enough"); };
  CHECK_THROWS_WITH(generate(*engine, request), "enough");
  CHECK(generate(*engine, request_of(some_tokens(250), 5)).tokens == result.tokens);
}

TEST_CASE("Requests that make no sense are refused") {
  const auto engine = tiny_engine();
  CHECK(code_of([&] { generate(*engine, request_of({}, 5)); }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] { generate(*engine, request_of({1}, -1)); }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] { generate(*engine, request_of({1, 5000}, 1)); }) == ErrorCode::kInvalidArgument);
  auto request = request_of({1}, 1);
  request.sampling.temperature = NAN;
  CHECK(code_of([&] { generate(*engine, request); }) == ErrorCode::kInvalidArgument);
  CHECK(generate(*engine, request_of({1}, 0)).finish_reason == FinishReason::kLength);
}

TEST_CASE("Sampling gives the same answer for the same seed") {
  const auto engine = tiny_engine();
  auto request = request_of(some_tokens(10), 30);
  request.sampling.temperature = 2.0f;
  request.sampling.seed = 5;
  const auto first = generate(*engine, request);
  CHECK(generate(*engine, request).tokens == first.tokens);
  request.sampling.seed = 6;
  CHECK(generate(*engine, request).tokens != first.tokens);
}

TEST_CASE("A grammar leaves nothing but its sentences") {
  const auto engine = tiny_engine();
  SECTION("a choice") {
    auto request = request_of(some_tokens(10), 50);
    const std::vector<std::string> options = {"yes, certainly", "no", "不知道"};
    request.grammar = Grammar::choice(options);
    const auto result = generate(*engine, request);
    CHECK(std::count(options.begin(), options.end(), result.text) == 1);
    CHECK(result.finish_reason == FinishReason::kStop);
  }
  SECTION("one sentence only: the model need not be asked") {
    auto request = request_of(some_tokens(10), 50);
    request.grammar = Grammar::choice(std::vector<std::string>{"only this"});
    int passes = 0;
    engine->backend().set_tap([&](std::string_view stage, int, std::span<const float>, int) {
      if (stage == "embed") ++passes;
    });
    CHECK(generate(*engine, request).text == "only this");
    CHECK(passes == 0);
  }
  SECTION("JSON") {
    auto request = request_of(some_tokens(10), 300);
    request.grammar = Grammar::from_json_schema(parse_json(
        R"({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "sure": {"type": "boolean"}}})",
        "test"));
    const auto result = generate(*engine, request);
    CHECK(result.finish_reason == FinishReason::kStop);
    const Json json = parse_json(result.text, "answer");
    CHECK((json.at("kind") == "a" || json.at("kind") == "b"));
    CHECK(json.at("sure").is_boolean());
  }
}

TEST_CASE("Guessed tokens change the speed and nothing else") {
  const auto engine = tiny_engine();
  const auto grammar = Grammar::from_json_schema(parse_json(
      R"({"type":"object","properties":{"a":{"type":"string","maxLength":30},"b":{"type":"string"}}})",
      "test"));
  int accepted = 0, wrong = 0;
  for (const int n_new : {1, 2, 40, 300}) {
    for (const float temperature : {0.0f, 0.4f}) {
      for (const bool constrained : {false, true}) {
        CAPTURE(n_new, temperature, constrained);
        GenerateRequest request = request_of(engine->tokenizer().encode("over and over and over and"), n_new);
        request.sampling.temperature = temperature;
        request.sampling.seed = 7;
        if (constrained) request.grammar = grammar;
        request.max_draft_tokens = 0;
        const GenerateResult plain = generate(*engine, request);
        CHECK(plain.draft_tokens == 0);
        request.max_draft_tokens = 8;
        const GenerateResult drafted = generate(*engine, request);
        CHECK(drafted.tokens == plain.tokens);
        CHECK(drafted.text == plain.text);
        CHECK(drafted.finish_reason == plain.finish_reason);
        CHECK(drafted.accepted_draft_tokens <= drafted.draft_tokens);
        accepted += drafted.accepted_draft_tokens;
        wrong += drafted.draft_tokens - drafted.accepted_draft_tokens;
        // What was read ahead in vain is not remembered: the next request begins like this one.
        request.prompt.insert(request.prompt.end(), plain.tokens.begin(), plain.tokens.end());
        request.grammar = nullptr;
        request.max_new_tokens = 5;
        const std::vector<int32_t> after = generate(*engine, request).tokens;
        const auto fresh = tiny_engine();
        CHECK(after == generate(*fresh, request).tokens);
      }
    }
  }
  CHECK(accepted > 0);
  CHECK(wrong > 0);
}

TEST_CASE("score sums the log-probabilities of a continuation") {
  const auto engine = tiny_engine(GENERATE(KvType::kF16, KvType::kInt8));
  std::vector<ScoreItem> items;
  for (int i = 0; i < 4; ++i) {
    auto prompt = some_tokens(150);
    prompt.resize(static_cast<size_t>(150 - 30 * i));
    items.push_back({prompt, some_tokens(1 + 5 * i, 50 + i)});
  }
  items.push_back({{7}, {}});
  const auto scores = engine->score(items, CancelToken());
  REQUIRE(scores.size() == items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    auto tokens = items[i].prompt;
    tokens.insert(tokens.end(), items[i].continuation.begin(), items[i].continuation.end());
    const auto logits = run_all(engine->backend(), tokens);
    double expected = 0;
    for (size_t t = items[i].prompt.size(); t < tokens.size(); ++t) {
      const float* row = logits.data() + (t - 1) * 272;
      double sum = 0;
      for (int v = 0; v < 272; ++v) sum += std::exp(double{row[v]});
      expected += double{row[tokens[t]]} - std::log(sum);
    }
    CHECK(scores[i].n_tokens == static_cast<int>(items[i].continuation.size()));
    CHECK(scores[i].log_probability == Approx(expected).margin(1e-4));
  }
  CHECK(code_of([&] {
          engine->score(std::vector<ScoreItem>{{{}, {1}}}, CancelToken());
        }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] {
          engine->score(std::vector<ScoreItem>{{{1}, {272}}}, CancelToken());
        }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] {
          engine->score(std::vector<ScoreItem>{{some_tokens(1020), some_tokens(5)}}, CancelToken());
        }) == ErrorCode::kResourceExhausted);
  const CancelToken cancel;
  cancel.cancel();
  CHECK(code_of([&] { engine->score(items, cancel); }) == ErrorCode::kCancelled);
}

// Tokens that a grammar forces before the model was asked are read after the prompt, which may take several
// steps.
TEST_CASE("what a grammar leaves open is chosen after what it forces") {
  const auto engine = tiny_engine();
  const Tokenizer& tokenizer = engine->tokenizer();
  const std::string forced = GENERATE("#", "a beginning that leaves no choice ");
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::vector<std::string> options;
  for (const char letter : letters) options.push_back(forced + letter);
  const int n_prompt = GENERATE(10, 600, 900);
  const std::vector<int32_t> prompt = some_tokens(n_prompt);
  std::vector<int32_t> whole = prompt;
  for (const int32_t id : tokenizer.encode(forced)) whole.push_back(id);
  const std::vector<float> logits = run_last(engine->backend(), whole);
  const char best = *std::max_element(letters.begin(), letters.end(), [&](char a, char b) {
    return logits[static_cast<size_t>(a)] < logits[static_cast<size_t>(b)];
  });
  GenerateRequest request = request_of(prompt, 100);
  request.grammar = Grammar::choice(options);
  CHECK(generate(*engine, request).text == forced + best);
  const GenerateResult again = generate(*engine, request);
  CHECK(again.text == forced + best);
  CHECK(again.cached_prompt_tokens >= n_prompt / kKvPageTokens * kKvPageTokens);
}

TEST_CASE("score_labels gives the labels' log-probabilities among themselves") {
  const auto engine = tiny_engine();
  const std::vector<std::vector<int32_t>> prompts = {some_tokens(50), some_tokens(60), {3}};
  const std::vector<int32_t> labels = {10, 200, 30};
  const auto scores = engine->score_labels(prompts, labels, CancelToken());
  REQUIRE(scores.size() == 9);
  for (size_t p = 0; p < prompts.size(); ++p) {
    const auto logits = run_last(engine->backend(), prompts[p]);
    double sum = 0;
    for (const int32_t label : labels) sum += std::exp(double{logits[static_cast<size_t>(label)]});
    for (size_t i = 0; i < labels.size(); ++i) {
      const double expected = double{logits[static_cast<size_t>(labels[i])]} - std::log(sum);
      CHECK(double{scores[p * 3 + i]} == Approx(expected).margin(1e-5));
    }
  }
  CHECK(code_of([&] { engine->score_labels(prompts, {}, CancelToken()); }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] { engine->score_labels(prompts, std::vector<int32_t>{-1}, CancelToken()); }) ==
        ErrorCode::kInvalidArgument);
}

TEST_CASE("Calls from several threads take turns") {
  const auto engine = tiny_engine();
  const auto expected = generate(*engine, request_of(some_tokens(40), 10)).tokens;
  std::vector<std::vector<int32_t>> results(3);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      result = generate(*engine, request_of(some_tokens(40), 10)).tokens;
      engine->score_labels(std::vector<std::vector<int32_t>>{some_tokens(30)}, std::vector<int32_t>{1, 2},
                           CancelToken());
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result == expected);
}
