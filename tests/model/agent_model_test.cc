// The agent on the small real model: what scripted replies cannot show.
#include "agent/agent.h"
#include "agent/engine_language_model.h"
#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/real_models.h"

namespace lectern {
namespace {

MemorySource notes() {
  return MemorySource(
      {{"pump-house.md",
        "The Harrow Mill pump house",
        "en",
        {"The pump house at Harrow Mill was built in 1874 by the engineer Ada Quill.",
         "The town council paid 2,300 pounds for the steam engine. The boiler came from Leeds."}},
       {"云岭茶园.md",
        "云岭茶园",
        "zh",
        {"云岭茶园建于1962年，由林秀兰创办。", "每年四月采摘第一批绿茶，年产量约为12吨。"}}});
}

struct Loaded {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<EngineLanguageModel> model;
};

Loaded load() {
  Engine::Options options;
  options.backend.kv_tokens = 4096;
  Loaded loaded;
  loaded.engine = Engine::load(real_model_path(kSmallModelFile), options);
  loaded.model = std::make_unique<EngineLanguageModel>(*loaded.engine, "qwen2.5-coder-0.5b-instruct");
  return loaded;
}

}  // namespace

TEST_CASE("the small model answers from notes in two languages, cited") {
  if (!std::filesystem::exists(real_model_path(kSmallModelFile))) LECTERN_SKIP("no weights: lectern pull");
  const Loaded loaded = load();
  MemorySource documents = notes();
  // 0.49 billion, and the head once more: this file does not tie it to the embedding.
  CHECK(loaded.model->billion_parameters() == Approx(0.63).margin(0.01));

  struct Case {
    std::string question, answer;
  };
  for (const Case& c :
       {Case{"Who built the pump house at Harrow Mill?", "Quill"}, Case{"云岭茶园是谁创办的？", "林秀兰"}}) {
    AskRequest request;
    request.question = c.question;
    request.level = Level::kRetrieve;
    request.max_answer_tokens = 64;
    std::string streamed;
    AskEvents events;
    events.on_text = [&](std::string_view text) {
      streamed += text;
      return true;
    };
    const Answer answer = Agent(*loaded.model, documents).ask(request, events, CancelToken());
    INFO(dump_json(to_json(answer.trace), 1));
    CHECK(answer.text.find(c.answer) != std::string::npos);
    CHECK(streamed == answer.text);
    REQUIRE_FALSE(answer.citations.empty());
    const Citation& citation = answer.citations.front();
    CHECK(citation.quote.find(c.answer) != std::string::npos);
    const std::string& text = documents.text(citation.passage.document_id);
    CHECK(text.substr(citation.quote_begin, citation.quote_end - citation.quote_begin) == citation.quote);
  }
}

TEST_CASE("constrained helper calls of the small model always parse") {
  if (!std::filesystem::exists(real_model_path(kSmallModelFile))) LECTERN_SKIP("no weights: lectern pull");
  const Loaded loaded = load();
  MemorySource documents = notes();
  AskRequest request;
  request.question = "Who built the pump house? Answer in one word.";
  request.level = Level::kRetrieve;
  request.helper_calls = HelperCalls::kAlways;
  request.max_answer_tokens = 16;
  const Answer answer = Agent(*loaded.model, documents).ask(request, {}, CancelToken());
  int parsed = 0;
  for (const TraceStep& step : answer.trace.steps) {
    if (step.kind != "split" && step.kind != "keywords") continue;
    INFO(step.detail);
    CHECK_NOTHROW(parse_json(step.data.at("reply").get<std::string>(), "reply"));
    ++parsed;
  }
  CHECK(parsed == 2);
}

}  // namespace lectern
