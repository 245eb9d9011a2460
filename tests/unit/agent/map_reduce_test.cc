// Whole-document requests over documents of any length: what the scenario files cannot say.
#include "agent/map_reduce.h"

#include "agent/reading_list.h"
#include "agent/salience.h"
#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

// Notes, and answers with, the first sentence of the passages that it is given.
class NotesModel : public ScriptedModel {
 public:
  NotesModel() {
    context = 1600;
    billions = 0.5;
  }

  LmReply chat(const LmRequest& request, const LmTextCallback& on_text, const CancelToken& cancel) override {
    const std::string& prompt = request.messages.back().content;
    const size_t first = prompt.find("[1] ") + 4;
    replies[request.purpose].push_back(
        {prompt.substr(first, prompt.find('.', first) - first) + " [1].", false, ""});
    if (on_call) on_call();
    return ScriptedModel::chat(request, on_text, cancel);
  }

  std::function<void()> on_call;
};

// "Chapter 17 tells of the year 1817." and filling, so that a chunk is about 100 tokens.
MemoryDocument book(int n_chunks) {
  MemoryDocument document{"book.txt", "The book", "en", {}};
  for (int i = 0; i < n_chunks; ++i) {
    std::string text =
        "Chapter " + std::to_string(i) + " tells of the year " + std::to_string(1000 + i) + ".";
    for (int k = 0; k < 9; ++k) text += " Then the days went on as they had gone on before it.";
    document.chunks.push_back(text);
  }
  return document;
}

AskRequest summary() {
  AskRequest request;
  request.question = "Summarise this book";
  request.max_answer_tokens = 100;
  return request;
}

std::vector<int> ordinals_read(const ScriptedModel& model) {
  std::vector<int> out;
  for (const LmRequest& call : model.calls) {
    if (call.purpose != "notes") continue;
    const std::string& text = call.messages.back().content;
    for (size_t at = text.find("Chapter "); at != std::string::npos; at = text.find("Chapter ", at + 1))
      out.push_back(std::stoi(text.substr(at + 8)));
  }
  return out;
}

}  // namespace

TEST_CASE("a long document is read from its beginning to its end") {
  MemorySource documents({book(2000)});
  NotesModel model;
  std::vector<Progress> progress;
  AskEvents events;
  events.on_progress = [&](const Progress& state) { progress.push_back(state); };
  const Answer answer = Agent(model, documents).ask(summary(), events, CancelToken());

  CHECK(answer.level == Level::kWhole);
  CHECK(answer.chunks_in_scope == 2000);
  CHECK(answer.chunks_read > 100);
  CHECK(answer.chunks_read < 400);  // not all, and it says so
  const std::vector<int> read = ordinals_read(model);
  for (int tenth = 0; tenth < 10; ++tenth) {
    CAPTURE(tenth);
    CHECK(std::any_of(read.begin(), read.end(), [&](int n) { return n / 200 == tenth; }));
  }
  // What the answer is written from also spans the whole.
  int in_late_half = 0;
  for (const SourcePassage& passage : answer.context) in_late_half += passage.ordinal >= 1000 ? 1 : 0;
  CHECK(in_late_half > 3);
  CHECK(in_late_half < static_cast<int>(answer.context.size()));

  REQUIRE(progress.size() > 2);
  CHECK(progress.front().stage == "reading");
  uint64_t done = 0;
  for (const Progress& state : progress) {
    if (state.stage != "reading") continue;
    CHECK(state.items_done >= done);
    CHECK(state.items_total >= state.items_done);
    done = state.items_done;
  }
  CHECK(done > 10);
}

TEST_CASE("a budget that covers everything has every chunk read once and in order") {
  MemorySource documents({book(300)});
  NotesModel model;
  AskRequest request = summary();
  request.budget.chunks = 300;
  const Answer answer = Agent(model, documents).ask(request, {}, CancelToken());
  CHECK(answer.chunks_read == 300);
  const std::vector<int> read = ordinals_read(model);
  REQUIRE(read.size() >= 300);
  for (int i = 0; i < 300; ++i) CHECK(read[static_cast<size_t>(i)] == i);
  CHECK_FALSE(answer.citations.empty());
}

TEST_CASE("notes that do not fit are condensed, again and again if need be") {
  MemorySource documents({book(2000)});
  NotesModel model;
  AskRequest request = summary();
  request.budget.chunks = 2000;
  request.context_tokens = 400;
  const Answer answer = Agent(model, documents).ask(request, {}, CancelToken());
  CHECK(answer.chunks_read == 2000);
  const auto n_reduced = std::count_if(answer.trace.steps.begin(), answer.trace.steps.end(),
                                       [](const TraceStep& step) { return step.kind == "reduce"; });
  CHECK(n_reduced >= 1);
  int tokens = 0;
  for (const LmRequest& call : model.calls) {
    if (call.purpose == "answer") tokens = model.count_tokens(call);
  }
  CHECK(tokens < 400 + 200);
}

TEST_CASE("time and tokens end the reading and the answer is made from what was read") {
  MemorySource documents({book(600)});
  AskRequest request = summary();
  NotesModel model;
  SECTION("no time at all: one span") {
    request.budget.seconds = 1e-9;
    const Answer answer = Agent(model, documents).ask(request, {}, CancelToken());
    CHECK(answer.chunks_read > 0);
    CHECK(answer.chunks_read < 20);
    CHECK(answer.found);
    CHECK(model.calls.size() == 2);
  }
  SECTION("tokens") {
    request.budget.tokens = 3000;
    const Answer answer = Agent(model, documents).ask(request, {}, CancelToken());
    CHECK(answer.chunks_read >= 20);
    CHECK(answer.chunks_read <= 45);
    const std::vector<int> read = ordinals_read(model);
    CHECK(*std::max_element(read.begin(), read.end()) >= 300);
  }
}

TEST_CASE("a cancel while a document is read throws and asks the model no more") {
  MemorySource documents({book(600)});
  NotesModel model;
  CancelToken cancel;
  int calls = 0;
  model.on_call = [&] {
    if (++calls == 3) cancel.cancel();
  };
  try {
    Agent(model, documents).ask(summary(), {}, cancel);
    FAIL("not cancelled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCancelled);
  }
  CHECK(calls == 3);
}

TEST_CASE("the helper reads and the model answers") {
  MemorySource documents({book(200)});
  NotesModel model, helper;
  Agent(model, helper, documents).ask(summary(), {}, CancelToken());
  CHECK(model.calls.size() == 1);
  CHECK(model.calls.front().purpose == "answer");
  CHECK(helper.calls.size() > 5);
}

TEST_CASE("any request may be answered from the whole") {
  MemorySource documents({book(100)});
  NotesModel model;
  AskRequest request = summary();
  request.question = "When did chapter 3 happen?";
  const auto n_notes = [&] {
    return std::count_if(model.calls.begin(), model.calls.end(),
                         [](const LmRequest& call) { return call.purpose == "notes"; });
  };
  request.level = Level::kRetrieve;
  Agent(model, documents).ask(request, {}, CancelToken());
  CHECK(n_notes() == 0);
  request.level = Level::kWhole;
  CHECK(Agent(model, documents).ask(request, {}, CancelToken()).level == Level::kWhole);
  CHECK(n_notes() > 3);
}

TEST_CASE("the sections of a reading list take turns and nothing is read twice") {
  MemorySource documents({book(90), book(10)});
  const ReadingList::Limits limits{40, 4, false};
  ReadingList list(documents, {0, 1}, 100, limits, {}, CancelToken());
  const auto five = [](const std::vector<SourcePassage>& taken, const SourcePassage&) {
    return taken.size() < 5;
  };
  std::vector<int64_t> seen;
  std::vector<int64_t> firsts;
  for (std::vector<SourcePassage> span = list.next(five); !span.empty(); span = list.next(five)) {
    CHECK(span.size() == 5);
    firsts.push_back(span.front().chunk_id / 25);
    for (const SourcePassage& chunk : span) {
      CHECK(chunk.chunk_id / 25 == firsts.back());  // of one section
      seen.push_back(chunk.chunk_id);
    }
  }
  CHECK(list.n_read() == 40);
  CHECK(firsts == std::vector<int64_t>{0, 2, 1, 3, 0, 2, 1, 3});
  std::sort(seen.begin(), seen.end());
  CHECK(std::unique(seen.begin(), seen.end()) == seen.end());
}

TEST_CASE("salience prefers what the texts are about and then something else") {
  const std::vector<std::string_view> texts = {
      "A heron stood on one leg in the rain for hours and nobody minded it.",
      "The mill ground the flour of the valley, and the mill wheel turned day and night.",
      "The mill wheel ground the flour day and night for the whole valley.",
      "Flour from the mill went down the valley by boat, the boat came back with coal.",
      "Mill. Flour. Valley. Wheel."};
  const std::vector<size_t> order = by_salience(texts, {});
  REQUIRE(order.size() == texts.size());
  CHECK((order.front() == 1 || order.front() == 2));
  CHECK(order.back() == 4);  // words without a sentence
  CHECK(by_salience(texts, {5, 0, 0, 0, 0}).front() == 0);
  CHECK(by_salience({}, {}).empty());
}

}  // namespace lectern
