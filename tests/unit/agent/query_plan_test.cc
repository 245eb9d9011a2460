#include "agent/query_plan.h"

#include "tests/support/catch.h"
#include "tests/support/scripted_model.h"

namespace lectern {

TEST_CASE("one short question is not worth splitting") {
  CHECK_FALSE(worth_splitting("Who built the pump house?"));
  CHECK_FALSE(worth_splitting("泵房是谁建的？"));
  CHECK_FALSE(worth_splitting("pump house builder"));
  CHECK(worth_splitting("Who built it? Answer in one word."));
  CHECK(worth_splitting("Who built it?\nAnd when?"));
  CHECK(worth_splitting(std::string(200, 'x') + "?"));
}

TEST_CASE("a statement or a passage number does not stand for a question") {
  const std::vector<LmMessage> history = {{LmMessage::Role::kUser, "When was Quiet Mill built?"},
                                          {LmMessage::Role::kAssistant, "Quiet Mill was built in 1802 [1]."}};
  const auto rewritten = [&](const std::string& reply, const std::string& question) {
    ScriptedModel model;
    model.replies["rewrite"].push_back({reply, false, ""});
    Trace trace;
    const std::function<void(const TraceStep&)> on_step;
    Tracer tracer(trace, on_step);
    const CancelToken cancel;
    return standalone_question({model, tracer, cancel}, history, question, 500);
  };
  const std::string bridge = "In which town is the Harbour Bridge?";
  CHECK(rewritten("The Harbour Bridge is in the town of Harlow.", bridge) ==
        "When was Quiet Mill built?\n" + bridge);
  CHECK(rewritten("Where is the Harbour Bridge of [1]?", bridge) == "When was Quiet Mill built?\n" + bridge);
  CHECK(rewritten("In which town is the Harbour Bridge of Quiet Mill?", bridge) ==
        "In which town is the Harbour Bridge of Quiet Mill?");
  CHECK(rewritten("Tell me who built Quiet Mill", "and who built it") == "Tell me who built Quiet Mill");
}

TEST_CASE("keywords are asked in the documents' languages but the question's own") {
  using Strings = std::vector<std::string>;
  CHECK(keyword_languages("en", {"en"}).empty());
  CHECK(keyword_languages("en", {"en", "zh", "", "zh", "de"}) == Strings{"zh", "de"});
  CHECK(keyword_languages("", {"en", "zh"}) == Strings{"en", "zh"});
  CHECK(keyword_languages("en", {"a1", "a2", "a3", "a4", "a5", "a6"}).size() == kMaxKeywordLanguages);
}

TEST_CASE("the instruction does not lead the search") {
  QueryPlan plan;
  plan.question = "Who built it? In one word.";
  plan.information = {"who built it"};
  plan.instruction = {"one word"};
  plan.keywords = {{"zh", {"建造", "谁"}}};
  const auto queries = plan.queries();
  REQUIRE(queries.size() == 3);
  CHECK(queries[0].text == "who built it");
  CHECK(queries[0].weight == 2.0);
  CHECK(queries[1].text == plan.question);
  CHECK(queries[2].text == "建造\n谁");
}

}  // namespace lectern
