// What the scenario files cannot say: cancelling, stopping, failing answers.
#include "agent/agent.h"
#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

MemorySource pump_house() {
  return MemorySource(
      {{"a.md", "Pump house", "en", {"Ada Quill built the pump house in 1874.", "It drained the meadows."}}});
}

AskRequest question() {
  AskRequest request;
  request.question = "Who built the pump house?";
  request.level = Level::kRetrieve;
  return request;
}

}  // namespace

TEST_CASE("a cancelled question throws before the model is called") {
  MemorySource documents = pump_house();
  ScriptedModel model;
  CancelToken cancel;
  cancel.cancel();
  CHECK_THROWS_AS(Agent(model, documents).ask(question(), {}, cancel), Error);
  CHECK(model.calls.empty());
}

TEST_CASE("a receiver that stops gets the answer as far as it went") {
  MemorySource documents = pump_house();
  ScriptedModel model;
  model.replies["answer"] = {{"Ada Quill built the pump house and much else besides.", false, ""}};
  std::string streamed;
  AskEvents events;
  events.on_text = [&](std::string_view text) {
    streamed += text;
    return streamed.size() < 9;
  };
  const Answer answer = Agent(model, documents).ask(question(), events, CancelToken());
  CHECK(streamed == "Ada Quill");
  CHECK(answer.text == "Ada Quill");
}

TEST_CASE("a failed answer is an error, and its step is told") {
  MemorySource documents = pump_house();
  ScriptedModel model;
  model.replies["answer"] = {{"Ada", false, "connection lost"}};
  std::vector<std::string> kinds;
  AskEvents events;
  events.on_step = [&](const TraceStep& step) { kinds.push_back(step.kind); };
  CHECK_THROWS_WITH(Agent(model, documents).ask(question(), events, CancelToken()),
                    Catch::Contains("connection lost"));
  CHECK(kinds == std::vector<std::string>{"route", "search", "context", "answer"});
}

TEST_CASE("the trace adds up and prints") {
  MemorySource documents = pump_house();
  ScriptedModel model;
  model.replies["keywords"] = {{"{\"keywords_en\": [\"pump house\"]}", false, ""}};
  model.replies["split"] = {{"{\"information\": [\"pump house\"], \"instruction\": []}", false, ""}};
  model.replies["answer"] = {{"Ada Quill.", false, ""}};
  AskRequest request = question();
  request.helper_calls = HelperCalls::kAlways;
  const Answer answer = Agent(model, documents).ask(request, {}, CancelToken());
  CHECK(answer.trace.calls == 3);
  int prompt_tokens = 0;
  for (const TraceStep& step : answer.trace.steps) prompt_tokens += step.prompt_tokens;
  CHECK(answer.trace.prompt_tokens == prompt_tokens);
  const Json printed = to_json(answer.trace);
  CHECK(printed["calls"] == 3);
  CHECK(printed["steps"].size() == answer.trace.steps.size());
  CHECK(printed["steps"][0]["kind"] == "route");
}

}  // namespace lectern
