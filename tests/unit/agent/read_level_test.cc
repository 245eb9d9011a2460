#include "agent/read_level.h"

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

constexpr const char* kNone = R"({"sentences": ["none"]})";

// `n` chunks of which only the search's first, "harbour", shares words with the question; the one that
// answers it is called "goal" and shares none.
MemorySource harbour(int n, int goal) {
  std::vector<std::string> chunks;
  for (int i = 0; i < n; ++i) chunks.push_back("Filler " + std::to_string(i) + " text.");
  chunks[0] = "The keeper asked about the harbour.";
  chunks[static_cast<size_t>(goal)] = "Goal: Ada Quill did so. It was in spring.";
  return MemorySource({{"a.md", "", "en", chunks}});
}

struct Reading {
  MemorySource documents;
  ScriptedModel model;
  AskRequest request;
  AskEvents events;
  Trace trace;
  Tracer tracer{trace, events.on_step};
  CancelToken cancel;

  Reading(int n, int goal) : documents(harbour(n, goal)) {
    request.question = "Who opened the harbour?";
    request.level = Level::kRead;
    request.helper_calls = HelperCalls::kNever;
    model.score_of = [](const LmRequest& asked, std::string_view) {
      return asked.messages.back().content.find("Goal") != std::string::npos ? -0.5 : -3.0;
    };
    for (int i = 0; i < 4; ++i) model.replies["extract"].push_back({kNone, false, ""});
  }

  std::vector<SourcePassage> run(int limit = 4) {
    Asking asking{model, model, documents, request, events, tracer, cancel};
    QueryPlan plan;
    plan.question = request.question;
    plan.information = {request.question};
    return read_and_rank(asking, plan, limit).best;
  }
  // Chunks that the model scored, the blank passage not counted.
  int n_scored() const {
    return static_cast<int>(std::count_if(
        model.scored.begin(), model.scored.end(),
        [](const LmRequest& asked) { return asked.messages.back().content.find("…") == std::string::npos; }));
  }
  std::string reason() const {
    for (const TraceStep& step : trace.steps)
      if (step.kind == "read") return step.data["reason"].get<std::string>();
    return "";
  }
};

}  // namespace

TEST_CASE("reading finds what search cannot") {
  Reading reading(40, 31);
  const auto best = reading.run();
  REQUIRE(best.size() == 4);
  CHECK(best[0].ordinal == 31);
  CHECK(best[1].ordinal == 0);  // the search's first, of those that score alike
  CHECK(reading.n_scored() == 40);
  CHECK(reading.reason() == "all are read");
}

TEST_CASE("no chunk is read twice") {
  Reading reading(40, 31);
  reading.model.replies["extract"][0] = {R"({"sentences": [1]})", false, ""};
  reading.run();
  std::vector<std::string> prompts;
  for (const LmRequest& asked : reading.model.scored) prompts.push_back(asked.messages.back().content);
  std::sort(prompts.begin(), prompts.end());
  CHECK(std::adjacent_find(prompts.begin(), prompts.end()) == prompts.end());
}

TEST_CASE("a budget of chunks is kept and what was read is used") {
  Reading reading(100, 5);
  reading.request.budget.chunks = 20;
  const auto best = reading.run();
  CHECK(reading.n_scored() == 20);
  CHECK(best[0].ordinal == 5);
  CHECK(reading.reason() == "the budget of chunks is spent");
}

TEST_CASE("reading again costs nothing and reaches further") {
  Reading reading(100, 30);
  reading.request.budget.chunks = 20;
  CHECK(reading.run()[0].ordinal == 0);
  Reading again(100, 30);
  again.request.budget.chunks = 20;
  again.documents.scores = reading.documents.scores;
  CHECK(again.run()[0].ordinal == 30);
  CHECK(again.n_scored() == 20);  // new ones
}

TEST_CASE("reading ends some time after a chunk that passes") {
  Reading reading(1000, 10);
  CHECK(reading.run()[0].ordinal == 10);
  CHECK(reading.n_scored() < 120);
}

TEST_CASE("when nothing passes everything is read and the best scores are taken") {
  Reading reading(200, 150);
  reading.model.score_of = [](const LmRequest& asked, std::string_view) {
    return asked.messages.back().content.find("Filler 77 ") != std::string::npos ? -2.9 : -3.0;
  };
  reading.request.question = "Quid novi?";
  const auto best = reading.run(1);
  REQUIRE(best.size() == 1);
  CHECK(best[0].ordinal == 77);
  CHECK(reading.n_scored() == 200);
}

TEST_CASE("chosen sentences are searched for and lead to further chunks") {
  Reading reading(400, 3);
  // The second hop shares words with the goal only, and lies beyond the budget.
  std::vector<std::string> chunks;
  for (int i = 0; i < 400; ++i) chunks.push_back("Filler " + std::to_string(i) + " text.");
  chunks[3] = "Goal: Ada Quill did so.";
  chunks[390] = "Ada Quill was born in Orme.";
  reading.documents = MemorySource({{"a.md", "", "en", chunks}});
  reading.request.budget.chunks = 32;
  reading.model.replies["extract"][0] = {R"({"sentences": [1]})", false, ""};
  const auto best = reading.run(2);
  REQUIRE(best.size() == 2);
  CHECK(best[0].ordinal == 3);
  CHECK(best[1].ordinal == 390);
  CHECK(std::find(reading.documents.searched.begin(), reading.documents.searched.end(),
                  "Goal: Ada Quill did so.") != reading.documents.searched.end());
}

TEST_CASE("reading reports how far it is and can be cancelled") {
  Reading reading(100, 90);
  std::vector<uint64_t> done;
  reading.events.on_progress = [&](const Progress& progress) {
    CHECK(progress.items_total == 100);
    done.push_back(progress.items_done);
    if (done.size() == 2) reading.cancel.cancel();
  };
  CHECK_THROWS_AS(reading.run(), Error);
  CHECK(done == std::vector<uint64_t>{16, 32});
  CHECK(reading.documents.scores.size() == 32);  // what was read is kept
}

TEST_CASE("a model that cannot score leaves the ranking of the search") {
  Reading reading(40, 31);
  reading.model.score_of = [](const LmRequest&, std::string_view) -> double {
    throw Error(ErrorCode::kUnavailable, "no scores here");
  };
  const auto best = reading.run();
  REQUIRE(best.size() == 1);
  CHECK(best[0].ordinal == 0);
  CHECK(reading.reason() == "no scores here");
}

TEST_CASE("level 2 answers and cites what it read") {
  Reading reading(40, 31);
  reading.model.replies["extract"][0] = {R"({"sentences": [1]})", false, ""};
  reading.model.replies["answer"] = {{"Ada Quill did so. [1]", false, ""}};
  const Answer answer =
      Agent(reading.model, reading.documents).ask(reading.request, reading.events, reading.cancel);
  CHECK(answer.level == Level::kRead);
  REQUIRE(answer.citations.size() == 1);
  CHECK(answer.citations[0].passage.ordinal == 31);
}

}  // namespace lectern
