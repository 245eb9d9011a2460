// lectern.hpp beside the library's own C++: both may be included by one program.
#include "include/lectern.hpp"

#include <string>
#include <thread>

#include "retrieval/collection.h"
#include "tests/support/catch.h"

using namespace lectern_cpp;  // not `lectern`, which is here too

namespace {

lectern_cpp::Collection two_documents() {
  auto collection = lectern_cpp::Collection::open_memory();
  collection.add("garden.md", "# The garden\n\nThe runner beans were sown on 12 May.\n");
  collection.add("bells.txt", "The great bell weighs 1,240 kilograms.\n");
  return collection;
}

// The status of what it throws.
template <typename Body>
int status_of(Body body) {
  try {
    body();
  } catch (const lectern_cpp::Error& error) {
    CHECK(std::string(error.what()) != "");
    return error.status();
  }
  return LECTERN_OK;
}

struct OfTheCallback {
  int number;
};

}  // namespace

TEST_CASE("a collection is searched and read", "[capi]") {
  auto collection = two_documents();
  const Hits hits = collection.search("when were beans sown");
  REQUIRE(hits->n_hits == 1);
  const lectern_passage& passage = *hits->hits[0]->passage;
  CHECK(std::string(passage.path) == "garden.md");
  CHECK(std::string(collection.text(passage.document_id)->text).find("12 May") != std::string::npos);
  CHECK(collection.text(passage.document_id, 2, 5)->text == std::string("The"));
  CHECK(collection.documents()->n_documents == 2);
  CHECK(collection.stats()->n_documents == 2);
  SearchOptions options;
  options.limit = 1;
  CHECK(collection.search("beans bell", options)->n_hits == 1);
  CHECK(collection.remove("garden.md") == 1);
  CHECK(collection.search("beans")->n_hits == 0);
}

TEST_CASE("results outlive what they came from", "[capi]") {
  Hits hits;
  {
    const auto collection = two_documents();
    hits = collection.search("bell");
  }
  CHECK(std::string(hits->hits[0]->passage->text).find("1,240") != std::string::npos);
}

TEST_CASE("failures throw their status", "[capi]") {
  auto collection = two_documents();
  CHECK(status_of([&] { collection.search("..."); }) == LECTERN_INVALID_ARGUMENT);
  CHECK(status_of([&] { collection.text(99); }) == LECTERN_NOT_FOUND);
  CHECK(status_of([&] { collection.add("x.txt", "x", "no-such-format"); }) != LECTERN_OK);
  CHECK(status_of([] { lectern_cpp::Collection::open_folder("/no/such/folder"); }) == LECTERN_NOT_FOUND);
  CHECK(status_of([] { Model::load("no-such-model"); }) == LECTERN_NOT_FOUND);
  CHECK(status_of([] { lectern_cpp::pull("no-such-model"); }) == LECTERN_NOT_FOUND);
  const auto moved = std::move(collection);
  CHECK(status_of([&] { collection.search("beans"); }) == LECTERN_INVALID_ARGUMENT);  // NOLINT: on purpose
  CHECK(moved.search("beans")->n_hits == 1);
}

TEST_CASE("models are listed", "[capi]") {
  const Models models = lectern_cpp::models();
  REQUIRE(models->n_models > 0);
  CHECK(std::string(models->models[0]->id) != "");
}

TEST_CASE("a model streams a reply and an answer", "[capi]") {
  const auto model = Model::load(LECTERN_TINY_MODEL);
  CHECK(model.context_tokens() > 0);
  CHECK(std::string(model.name()) == LECTERN_TINY_MODEL);
  std::string heard;
  GenerateOptions options;
  options.max_tokens = 12;
  options.on_text = [&](std::string_view text) {
    heard += text;
    return true;
  };
  const Reply reply = model.generate({{"user", "Say something."}}, options);
  CHECK(heard == std::string(reply->text, reply->text_bytes));

  const auto collection = two_documents();
  AskOptions asking;
  asking.level = "1";
  asking.helpers = "never";
  asking.max_answer_tokens = 40;
  int n_steps = 0;
  heard.clear();
  asking.on_text = options.on_text;
  asking.on_step = [&](const lectern_step& step) { return ++n_steps > 0 && step.kind != nullptr; };
  const Answer answer = model.ask(collection, "When were the beans sown?", asking);
  CHECK_FALSE(heard.empty());
  CHECK(heard == std::string(answer->text, answer->text_bytes));
  CHECK(n_steps > 0);
  asking.on_step = [](const lectern_step&) -> bool { throw OfTheCallback{1}; };
  CHECK_THROWS_AS(model.ask(collection, "When were the beans sown?", asking), OfTheCallback);
}

TEST_CASE("what a callback throws comes out of the call, and stops it", "[capi]") {
  const auto model = Model::load(LECTERN_TINY_MODEL);
  int n_calls = 0;
  GenerateOptions options;
  options.max_tokens = 50;
  options.on_text = [&](std::string_view) -> bool { throw OfTheCallback{++n_calls}; };
  CHECK_THROWS_AS(model.generate({{"user", "Say something."}}, options), OfTheCallback);
  CHECK(n_calls == 1);
  options.on_text = [](std::string_view) { return false; };
  CHECK(status_of([&] { model.generate({{"user", "Say something."}}, options); }) == LECTERN_CANCELLED);
  ModelOptions loading;
  loading.on_progress = [](const lectern_progress&) -> bool { throw OfTheCallback{0}; };
  CHECK_THROWS_AS(Model::load(LECTERN_TINY_MODEL, loading), OfTheCallback);
}

TEST_CASE("another thread stops a call", "[capi]") {
  const auto model = Model::load(LECTERN_TINY_MODEL);
  Cancel cancel;
  GenerateOptions options;
  options.max_tokens = 40;
  options.cancel = cancel.get();
  int status = LECTERN_OK;
  std::thread talking([&] {
    while (status == LECTERN_OK) status = status_of([&] { model.generate({{"user", "Talk."}}, options); });
  });
  cancel.set();
  talking.join();
  CHECK(status == LECTERN_CANCELLED);
  CHECK(cancel.is_set());
}
