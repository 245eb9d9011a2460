#include "agent/retrieve.h"

#include "agent/agent.h"
#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

SourcePassage chunk(int64_t document, const std::string& title, double score) {
  SourcePassage passage;
  passage.document_id = document;
  passage.title = title;
  passage.score = score;
  return passage;
}

struct Lesser {
  ScriptedModel model;
  MemorySource documents{{}};
  AskRequest request;
  QueryPlan plan;
  Trace trace;
  AskEvents events;
  CancelToken cancel;

  // Scores that are kept of chunks of documents 1, 2, ... with these scores.
  std::vector<double> kept(const std::vector<SourcePassage>& chunks) {
    Tracer tracer(trace, events.on_step);
    Asking asking{model, model, documents, request, events, tracer, cancel};
    std::vector<SourcePassage> ranked = chunks;
    const size_t n_lesser = take_lesser(asking, plan, ranked).size();
    CHECK(n_lesser + ranked.size() == chunks.size());
    std::vector<double> out;
    for (const SourcePassage& passage : ranked) out.push_back(passage.score);
    return out;
  }
};

}  // namespace

TEST_CASE("a small model is shown only chunks that are worth something beside the best") {
  Lesser lesser;
  lesser.model.billions = 1.5;
  lesser.plan.question = "Who owned Lark Mill and Pond House?";
  const std::vector<SourcePassage> chunks = {chunk(1, "Lark Mill", 0.5), chunk(2, "Weirs", 0.4),
                                             chunk(3, "Dykes", 0.2), chunk(4, "Pond House", 0.1),
                                             chunk(4, "Pond House", 0.05)};
  CHECK(lesser.kept(chunks) == std::vector<double>{0.5, 0.4, 0.1});  // a named document keeps its first
  CHECK(lesser.kept({}).empty());
  SECTION("all when the number was asked for") {
    lesser.request.max_passages = 5;
    CHECK(lesser.kept(chunks).size() == 5);
  }
  SECTION("all when keywords had to be found") {
    lesser.plan.keywords = {{"zh", {"磨坊"}}};
    CHECK(lesser.kept(chunks).size() == 5);
  }
  SECTION("all by a large model") {
    lesser.model.billions = 14;
    CHECK(lesser.kept(chunks).size() == 5);
  }
}

TEST_CASE("chunks that the model is not shown still support its claims") {
  std::vector<std::string> chunks = {"Ada Quill built the pump house of Fen End.",
                                     "The engine drained Fen End from 1874."};
  for (int i = 0; i < 20; ++i) chunks.push_back("Meadow " + std::to_string(i) + " lay dry.");
  MemorySource documents({{"a.md", "", "en", chunks}});
  ScriptedModel model;
  model.billions = 1.5;
  model.replies["answer"] = {
      {"Ada Quill built the pump house of Fen End. It drained Fen End from 1874.", false, ""}};
  AskRequest request;
  request.question = "Who was it that built the pump house of Fen End?";
  request.level = Level::kRetrieve;
  request.helper_calls = HelperCalls::kNever;
  const Answer answer = Agent(model, documents).ask(request, {}, CancelToken());
  REQUIRE(answer.context.size() == 1);
  CHECK(answer.context[0].ordinal == 0);
  REQUIRE(answer.citations.size() == 2);
  CHECK(answer.citations[1].passage.ordinal == 1);
  CHECK(answer.unsupported.empty());
}

}  // namespace lectern
