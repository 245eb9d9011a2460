#include "agent/closest_sentence.h"

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

constexpr const char* kQuestion = "How many barrels were sold after the raid on the harbour?";
constexpr const char* kGoal = "After the raid ninety barrels were sold.";

MemorySource harbour() {
  std::vector<std::string> chunks = {
      "The harbour was raided in March. After the raid ninety barrels were sold. They held oil.",
      "In another year the harbour sold seventy barrels. Nobody knows why."};
  for (int day = 1; day <= 16; ++day) chunks.push_back("Day " + std::to_string(day) + " was fair.");
  return MemorySource({{"a.md", "Harbour", "en", chunks}});
}

struct Asked {
  ScriptedModel model;
  MemorySource documents = harbour();
  AskRequest request;
  std::string streamed;

  // By `above` nats per token the goal makes the question likelier than other sentences, and `preferred` of
  // two replies is judged likelier to be right.
  explicit Asked(double above = 1, const std::string& preferred = "ninety") {
    model.billions = 1.5;
    model.score_of = [above, preferred](const LmRequest& asked, std::string_view continuation) {
      const std::string& prompt = asked.messages.back().content;
      if (asked.purpose == "judge_question" && prompt.find("…") != std::string::npos)
        return -6.0;  // after a passage that says nothing
      if (asked.purpose == "judge_question")
        return prompt.find(kGoal) != std::string::npos ? above - 3 : -3.0;
      if (asked.purpose != "judge_reply") return -1.0;
      const bool yes = prompt.find(preferred, prompt.find("Proposed answer")) != std::string::npos;
      return (continuation == "Yes") == yes ? -0.1 : -3.0;
    };
    request.question = kQuestion;
    request.helper_calls = HelperCalls::kNever;
  }

  Answer answer(std::vector<std::string> replies) {
    for (std::string& reply : replies) model.replies["answer"].push_back({std::move(reply), false, ""});
    AskEvents events;
    events.on_text = [this](std::string_view text) {
      streamed += text;
      return true;
    };
    Answer answer = Agent(model, documents).ask(request, events, CancelToken());
    CHECK(streamed == answer.text);
    return answer;
  }
  bool compares_sentences() const {
    return std::any_of(model.scored.begin(), model.scored.end(),
                       [](const LmRequest& call) { return call.purpose == "judge_question"; });
  }
  std::vector<LmRequest> asked(const std::string& purpose) const {
    std::vector<LmRequest> out;
    std::copy_if(model.calls.begin(), model.calls.end(), std::back_inserter(out),
                 [&](const LmRequest& call) { return call.purpose == purpose; });
    return out;
  }
};

constexpr const char* kRight = "After the raid on the harbour ninety barrels were sold [1].";
constexpr const char* kMisread = "The harbour sold seventy barrels [1].";
// A number that no passage holds: nothing supports it.
constexpr const char* kWrong = "After the raid on the harbour 4711 barrels were sold.";

}  // namespace

TEST_CASE("a small model answers twice and is pointed to the closest sentence the second time") {
  Asked asked;
  const Answer answer = asked.answer({kMisread, kRight});
  CHECK(answer.text == kRight);
  REQUIRE(answer.citations.size() == 1);
  CHECK(answer.citations[0].quote == kGoal);
  const auto calls = asked.asked("answer");
  REQUIRE(calls.size() == 2);
  const std::string pointer = std::string("The sentence closest to the question: ") + kGoal;
  CHECK(calls[0].messages.back().content.find(pointer) == std::string::npos);
  CHECK(calls[1].messages.back().content.find(pointer) != std::string::npos);
}

TEST_CASE("of two replies that passages support the likelier is given") {
  SECTION("the plain one when the model finds it clearly likelier") {
    Asked asked(1, "seventy");
    CHECK(asked.answer({kMisread, kRight}).text == kMisread);
  }
  SECTION("the pointed one when it finds them alike") {
    Asked asked(1, "barrels");
    CHECK(asked.answer({kMisread, kRight}).text == kRight);
  }
  SECTION("without a judgement when they are the same") {
    Asked asked;
    CHECK(asked.answer({kRight, kRight}).text == kRight);
    const auto judged = [](const LmRequest& call) { return call.purpose == "judge_reply"; };
    CHECK(std::none_of(asked.model.scored.begin(), asked.model.scored.end(), judged));
  }
}

TEST_CASE("of two replies the supported one is given") {
  Asked asked;
  SECTION("the pointed one") {
    CHECK(asked.answer({kWrong, kRight}).text == kRight);
  }
  SECTION("the plain one") {
    CHECK(asked.answer({kMisread, kWrong}).text == kMisread);
  }
  SECTION("the pointed one after a refusal") {
    CHECK(asked.answer({"Not in these documents.", kRight}).text == kRight);
  }
  SECTION("none after a refusal and an unsupported one") {
    CHECK_FALSE(asked.answer({"Not in these documents.", kWrong}).found);
  }
  SECTION("and nothing when both say nothing") {
    const Answer answer = asked.answer({"", " "});
    CHECK_FALSE(answer.found);
    CHECK(answer.text == "Not in these documents.");
  }
}

TEST_CASE("the closest sentence is one with the words of the question when the model finds all alike") {
  Asked asked(0);
  asked.answer({kMisread, kRight});
  CHECK(asked.asked("answer").at(1).messages.back().content.find(kGoal, 0) != std::string::npos);
  const auto& content = asked.asked("answer").at(1).messages.back().content;
  CHECK(content.find(std::string("question: ") + kGoal) != std::string::npos);
}

TEST_CASE("a level that was asked for and a large model answer once") {
  Asked asked;
  SECTION("level 1") {
    asked.request.level = Level::kRetrieve;
  }
  SECTION("a large model") {
    asked.model.billions = 70;
  }
  CHECK(asked.answer({kMisread}).text == kMisread);
  CHECK_FALSE(asked.compares_sentences());
}

TEST_CASE("a model that cannot score answers once") {
  Asked asked;
  asked.model.score_of = [](const LmRequest&, std::string_view) -> double {
    throw Error(ErrorCode::kUnavailable, "no log-probabilities");
  };
  CHECK(asked.answer({kMisread}).text == kMisread);
}

}  // namespace lectern
