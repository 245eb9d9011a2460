#include "agent/close_reading.h"

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

  // `above`: nats per token that the goal makes the question likelier than a passage that says nothing.
  explicit Asked(double above) {
    model.billions = 1.5;
    model.score_of = [above](const LmRequest& asked, std::string_view) {
      if (asked.purpose != "judge_question") return -1.0;
      const std::string& passage = asked.messages.back().content;
      return passage.find(kGoal) != std::string::npos ? -3 + above : -3.0;
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

// A number that no passage holds: nothing supports it.
constexpr const char* kWrong = "After the raid on the harbour 4711 barrels were sold.";

}  // namespace

TEST_CASE("an unsupported reply is followed by one from the closest sentences") {
  Asked asked(3);
  const Answer answer = asked.answer({kWrong, "After the raid on the harbour ninety barrels were sold [1]."});
  CHECK(answer.text == "After the raid on the harbour ninety barrels were sold [1].");
  REQUIRE(answer.citations.size() == 1);
  CHECK(answer.citations[0].quote == kGoal);
  const auto calls = asked.asked("answer");
  REQUIRE(calls.size() == 2);
  const std::string& closer = calls[1].messages.back().content;
  CHECK(closer.find(kGoal) != std::string::npos);
  CHECK(closer.find("They held oil.") != std::string::npos);  // what stands around it
  CHECK(closer.find("Day 3") == std::string::npos);
}

TEST_CASE("when that is unsupported too the first reply stands") {
  Asked asked(3);
  const Answer answer = asked.answer({kWrong, "It was 815 barrels."});
  CHECK(answer.text == kWrong);
  CHECK(answer.citations.empty());
  CHECK(answer.unsupported.size() == 1);
}

TEST_CASE("a refusal is looked at again") {
  Asked asked(3);
  const Answer answer =
      asked.answer({"Not in these documents.", "Ninety barrels were sold after the raid [1]."});
  CHECK(answer.found);
  CHECK(answer.citations.size() == 1);
}

TEST_CASE("without a sentence that answers the question the first reply stands") {
  Asked asked(1);
  SECTION("marked as unsupported") {
    const Answer answer = asked.answer({std::string(kWrong) + " It was cold."});
    CHECK(answer.text == std::string(kWrong) + " It was cold.");
    CHECK(answer.found);
    CHECK(answer.citations.empty());
    CHECK_FALSE(answer.unsupported.empty());
  }
  SECTION("or the refusal") {
    CHECK_FALSE(asked.answer({"Not in these documents."}).found);
  }
  CHECK(asked.asked("answer").size() == 1);
}

TEST_CASE("a reply with a supported sentence is shown whole and sentences are not compared") {
  Asked asked(3);
  const Answer answer = asked.answer({std::string(kWrong) + " After the raid ninety barrels were sold [1]."});
  CHECK(answer.citations.size() == 1);
  CHECK(answer.unsupported.size() == 1);
  CHECK_FALSE(asked.compares_sentences());
}

// Supported, but not by the sentence with most of the question's words.
constexpr const char* kMisread = "The harbour sold seventy barrels [2].";

TEST_CASE("a reply that rests on another sentence than the closest is looked at again") {
  SECTION("and replaced when that sentence makes the question likelier") {
    Asked asked(0.5);
    const Answer answer = asked.answer({kMisread, "After the raid ninety barrels were sold [1]."});
    CHECK(answer.text == "After the raid ninety barrels were sold [1].");
    REQUIRE(answer.citations.size() == 1);
    CHECK(answer.citations[0].quote == kGoal);
  }
  SECTION("and stands as it was, with its citation, when it does not") {
    Asked asked(0.1);
    const Answer answer = asked.answer({kMisread});
    CHECK(answer.text == "The harbour sold seventy barrels [1].");
    REQUIRE(answer.citations.size() == 1);
    CHECK(answer.citations[0].quote == "In another year the harbour sold seventy barrels.");
    CHECK(asked.compares_sentences());
  }
  SECTION("and stands when the second reply is supported by nothing") {
    Asked asked(0.5);
    const Answer answer = asked.answer({kMisread, "It was 815 barrels."});
    CHECK(answer.text == "The harbour sold seventy barrels [1].");
    CHECK(answer.citations.size() == 1);
  }
  SECTION("but not when it rests on many sentences") {
    Asked asked(0.5);
    const std::string reply =
        "Day 1 was fair [3]. Day 2 was fair [4]. Day 3 was fair [5]. Day 4 was fair [6].";
    CHECK(asked.answer({reply}).citations.size() == 4);
    CHECK_FALSE(asked.compares_sentences());
  }
  SECTION("but not when a later sentence rests on the closest") {
    Asked asked(0.5);
    const std::string reply = std::string(kMisread) + " After the raid ninety barrels were sold [1].";
    CHECK(asked.answer({reply}).citations.size() == 2);
    CHECK_FALSE(asked.compares_sentences());
  }
}

TEST_CASE("a level that was asked for and a large model are not read again") {
  Asked asked(3);
  SECTION("level 1") {
    asked.request.level = Level::kRetrieve;
  }
  SECTION("a large model") {
    asked.model.billions = 70;
  }
  const Answer answer = asked.answer({kWrong});
  CHECK(answer.text == kWrong);
  CHECK(answer.citations.empty());
}

}  // namespace lectern
