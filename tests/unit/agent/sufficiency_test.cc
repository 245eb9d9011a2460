#include "agent/sufficiency.h"

#include <algorithm>

#include "agent/model_profile.h"
#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

MemorySource notes(int days = 14) {
  std::vector<MemoryDocument> documents = {
      {"a.md", "Pump house", "en", {"Ada Quill built the pump house in 1874.", "It drained the meadows."}},
      {"b.md", "Ferry", "en", {"The ferry left at six.", "Captain Tolliver sailed it."}},
      {"c.md", "Weather", "en", {}}};
  for (int day = 1; day <= days; ++day)  // in fewer the search is sure of nothing
    documents.back().chunks.push_back("Day " + std::to_string(day) + " was fair.");
  return MemorySource(std::move(documents));
}

ScriptedModel judged_model(double yes, double no) {
  ScriptedModel model;
  model.billions = 1.5;
  model.score_of = [=](const LmRequest&, std::string_view choice) {
    return choice == "Yes" ? yes : choice == "No" ? no : 0.0;
  };
  model.replies["answer"] = {{"Ada Quill built the pump house in 1874 [1].", false, ""}};
  return model;
}

Answer ask(ScriptedModel& model, const std::string& question, std::string& streamed) {
  MemorySource documents = notes();
  AskRequest request;
  request.question = question;
  request.level = Level::kRetrieve;
  request.helper_calls = HelperCalls::kNever;
  AskEvents events;
  events.on_text = [&](std::string_view text) {
    streamed += text;
    return true;
  };
  return Agent(model, documents).ask(request, events, CancelToken());
}

const TraceStep* judgement(const Answer& answer) {
  for (const TraceStep& step : answer.trace.steps)
    if (step.kind == "sufficiency") return &step;
  return nullptr;
}

}  // namespace

TEST_CASE("evidence that holds the question is answered from") {
  ScriptedModel model = judged_model(-0.1, -3);
  std::string streamed;
  const Answer answer = ask(model, "Who built the pump house in 1874?", streamed);
  CHECK(answer.found);
  CHECK(answer.citations.size() == 1);
  REQUIRE(judgement(answer) != nullptr);
  CHECK(judgement(answer)->data["probability"].get<double>() > 0.9);
  CHECK(model.scored.empty());  // the search alone was sure
}

TEST_CASE("a question of which the passages hold nothing is refused before the model speaks") {
  ScriptedModel model = judged_model(-3, -0.1);
  std::string streamed;
  const Answer answer =
      ask(model, "Which quarterback of the Denver Broncos won the final at the house?", streamed);
  CHECK_FALSE(answer.found);
  CHECK(answer.text == "Not in these documents.");
  CHECK(streamed == answer.text);
  CHECK(model.calls.empty());
}

TEST_CASE("auto reads chunks one by one before it refuses, and refuses when none passes") {
  MemorySource documents = notes(100);
  AskRequest request;
  request.question = "Which quarterback of the Denver Broncos won the final at the house?";
  request.helper_calls = HelperCalls::kNever;
  ScriptedModel model = judged_model(-3, -0.1);
  model.context = 512;  // not all of the notes fit
  std::vector<std::string> kinds;
  AskEvents events;
  events.on_step = [&](const TraceStep& step) { kinds.push_back(step.kind); };
  SECTION("every chunk scores as a passage that says nothing") {
    model.score_of = [](const LmRequest&, std::string_view) { return -3.0; };
    const Answer answer = Agent(model, documents).ask(request, events, CancelToken());
    CHECK(answer.level == Level::kRead);
    CHECK_FALSE(answer.found);
    CHECK(model.calls.empty());
  }
  SECTION("one makes the question much likelier") {
    model.score_of = [](const LmRequest& asked, std::string_view) {
      return asked.messages.back().content.find("Ada Quill") != std::string::npos ? -0.5 : -3.0;
    };
    model.replies["answer"].push_back(model.replies["answer"].front());  // it answers twice
    model.replies["extract"] = {{"{}", false, ""}, {"{}", false, ""}, {"{}", false, ""}, {"{}", false, ""}};
    const Answer answer = Agent(model, documents).ask(request, events, CancelToken());
    CHECK(answer.level == Level::kRead);
    CHECK(answer.found);
    REQUIRE_FALSE(answer.context.empty());
    CHECK(std::any_of(answer.context.begin(), answer.context.end(), [](const SourcePassage& passage) {
      return passage.text.find("Ada Quill") != std::string::npos;
    }));
  }
  CHECK(std::count(kinds.begin(), kinds.end(), "route") == 2);
  CHECK(std::count(kinds.begin(), kinds.end(), "read") == 1);
}

TEST_CASE("what cannot be judged is answered") {
  std::string streamed;
  ScriptedModel large = judged_model(-3, -0.1);
  large.billions = 70;  // not judged
  CHECK(judgement(ask(large, "Which pump did the Broncos win?", streamed)) == nullptr);
  ScriptedModel small = judged_model(-3, -0.1);
  CHECK(judgement(ask(small, "Built?", streamed)) == nullptr);  // one word
}

TEST_CASE("chunks of which the question's words tell nothing are judged by how likely they make it") {
  const bool mixed = GENERATE(true, false);
  INFO((mixed ? "documents in another language" : "a handful of chunks"));
  const std::string quill = mixed ? "青石桥长48米，1874年完工。" : "Ada Quill built the pump house in 1874.";
  std::vector<MemoryDocument> documents = {{"a.md", "", mixed ? "zh" : "en", {quill}}};
  if (mixed) documents.push_back({"b.md", "Weather", "en", {}});
  for (int day = 1; mixed && day <= 15; ++day)
    documents.back().chunks.push_back("Day " + std::to_string(day) + " was fair.");
  MemorySource source(documents);
  ScriptedModel model = judged_model(0, 0);
  model.replies["keywords"] = {
      {R"({"keywords_zh": ["石桥", "青石桥"], "keywords_en": ["pump house"]})", false, ""}};
  AskRequest request;
  request.question = "Who built the pump house then?";
  request.level = Level::kRetrieve;
  double with_it = 0;
  model.score_of = [&](const LmRequest& asked, std::string_view said) {
    if (said != request.question) return 0.0;
    return asked.messages.back().content.find("1874") != std::string::npos ? with_it : -3.0;
  };
  const auto answer = [&](double score) {
    with_it = score;
    return Agent(model, source).ask(request, {}, CancelToken());
  };
  SECTION("hardly likelier than nothing does: refused before the model speaks") {
    const Answer refused = answer(-2.85);
    CHECK_FALSE(refused.found);
    CHECK(std::none_of(model.calls.begin(), model.calls.end(),
                       [](const LmRequest& call) { return call.purpose == "answer"; }));
    REQUIRE(judgement(refused) != nullptr);
    CHECK(judgement(refused)->data["by_reading"].get<double>() == Approx(0.1));
  }
  SECTION("much likelier: answered") {
    const Answer answered = answer(-1);
    CHECK(answered.found);
    REQUIRE(judgement(answered) != nullptr);
    CHECK(judgement(answered)->data["probability"].get<double>() == 1);
  }
  SECTION("a model that fails to score judges nothing") {
    model.score_of = [](const LmRequest&, std::string_view) -> double {
      throw Error(ErrorCode::kUnavailable, "no scores");
    };
    const Answer answered = answer(0);
    CHECK(answered.found);
    CHECK(judgement(answered) == nullptr);
  }
}

TEST_CASE("all there is to read is judged where a fact is asked for") {
  MemorySource source({{"a.md", "", "en", {"Ada Quill built the pump house in 1874."}}});
  ScriptedModel model = judged_model(0, 0);
  double with_it = -3;
  model.score_of = [&](const LmRequest& asked, std::string_view) {
    const bool of_nothing = asked.messages.back().content.find("…") != std::string::npos;
    return of_nothing ? -2.0 : with_it;
  };
  AskRequest request;
  request.level = Level::kFit;
  SECTION("a fact that is not there is refused before the model speaks") {
    request.question = "When was the boiler serviced?";
    const Answer refused = Agent(model, source).ask(request, {}, CancelToken());
    CHECK_FALSE(refused.found);
    CHECK(model.calls.empty());
  }
  SECTION("a fact in other words than the text's is answered") {
    with_it = -2.1;
    request.question = "When did they set up the engine for the meadows?";
    const Answer answered = Agent(model, source).ask(request, {}, CancelToken());
    CHECK(answered.found);
  }
  SECTION("what is to be made of it is done") {
    request.question = "What would be a good title for this pump house?";
    const Answer answered = Agent(model, source).ask(request, {}, CancelToken());
    CHECK(answered.found);
    CHECK(judgement(answered) == nullptr);
  }
}

TEST_CASE("where the search leaves it open the model is asked and the prompt begins as the answer's does") {
  ScriptedModel model;
  model.billions = 1.5;
  MemorySource documents = notes();
  const AskRequest request;
  const AskEvents events;
  const CancelToken cancel;
  Trace trace;
  Tracer tracer(trace, events.on_step);
  Asking asking{model, model, documents, request, events, tracer, cancel};
  QueryPlan plan;
  plan.question = "Who built the pump house in 1874?";
  FilledContext context;
  SourcePassage passage;
  passage.text = "Ada Quill built the pump house in 1874.";
  passage.score = 0.17;
  context.passages = merge_neighbours({passage});
  const auto judge = [&](double yes, double no) {
    model.score_of = [=](const LmRequest&, std::string_view choice) { return choice == "Yes" ? yes : no; };
    return sufficiency(asking, plan, context, Passages::kFound).value();
  };
  CHECK(judge(-1, -1) == Approx(0.5));
  CHECK(judge(-0.1, -3) > 0.7);
  CHECK(judge(-3, -0.1) < 0.3);
  REQUIRE(model.scored.size() >= 2);
  const std::string& judged = model.scored[0].messages.back().content;
  const std::string& answered = model.scored[1].messages.back().content;
  const size_t question = answered.find("Question: Who built the pump house in 1874?");
  REQUIRE(question != std::string::npos);
  CHECK(judged.substr(0, question + 40) == answered.substr(0, question + 40));
}

TEST_CASE(
    "where the evidence is weak an unsupported first sentence becomes a refusal and nothing of it shows") {
  ScriptedModel model = judged_model(-0.1, -0.1);
  model.replies["answer"] = {{"The museum was opened by Norbert Vance in 1999. It was grand.", false, ""}};
  std::string streamed;
  const Answer answer = ask(model, "Who opened the granite harbour museum at the pump?", streamed);
  REQUIRE(model.calls.size() == 1);
  CHECK_FALSE(answer.found);
  CHECK(streamed == "Not in these documents.");
  CHECK(answer.unsupported.empty());
}

}  // namespace lectern
