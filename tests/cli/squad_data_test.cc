#include "apps/cli/squad_data.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

namespace lectern {
namespace {

constexpr const char* kTwoArticles = R"({"version": "1", "data": [
  {"title": "Pump_house", "paragraphs": [
    {"context": "Ada Quill built it.", "qas": [
      {"id": "1", "question": "Who built it?", "answers": [{"text": "Ada Quill", "answer_start": 0}]}]},
    {"context": "It cost 2,300 pounds.", "qas": [
      {"id": "2", "question": "What did it cost?", "answers": [{"text": "2,300 pounds"}, {"text": "2,300"}]}]}]},
  {"title": "Ferry", "paragraphs": [
    {"context": "It left at six.", "qas": [
      {"id": "3", "question": "When did it leave?", "answers": [{"text": "at six"}]}]}]}]})";

SquadData read_text(const std::string& text) {
  const TempFolder folder;
  write_file_atomically(folder.path() / "data.json", text);
  return read_squad(folder.path() / "data.json");
}

}  // namespace

TEST_CASE("an article is one document") {
  const SquadData data = read_text(kTwoArticles);
  REQUIRE(data.articles.size() == 2);
  CHECK(data.articles[0].title == "Pump house");
  CHECK(data.articles[0].text == "Ada Quill built it.\n\nIt cost 2,300 pounds.");
  REQUIRE(data.questions.size() == 3);
  CHECK(data.questions[1].answers == std::vector<std::string>{"2,300 pounds", "2,300"});
}

TEST_CASE("the collection holds every article") {
  const auto collection = make_collection(read_text(kTwoArticles));
  CHECK(collection->stats().n_documents == 2);
  CHECK(collection->search({{{"ferry left", 1.0}}, 1, false, {}}).at(0).passage.text == "It left at six.");
}

TEST_CASE("half of the articles are left out by the seed and not searched") {
  const std::vector<bool> left_out = leave_out_half(25, 1);
  CHECK(std::count(left_out.begin(), left_out.end(), true) == 12);
  CHECK(left_out == leave_out_half(25, 1));
  CHECK(left_out != leave_out_half(25, 2));
  const auto collection = make_collection(read_text(kTwoArticles), {false, true});
  CHECK(collection->stats().n_documents == 1);
  CHECK(collection->search({{{"ferry left", 1.0}}, 1, false, {}}).empty());
}

TEST_CASE("a draw depends on the seed only and never repeats") {
  SquadData data;
  for (int i = 0; i < 50; ++i) data.questions.push_back({std::to_string(i), "q", {"a"}});
  const auto ids = [&](int limit, uint64_t seed) {
    std::vector<std::string> out;
    for (const SquadQuestion& q : sample_questions(data, limit, seed)) out.push_back(q.id);
    return out;
  };
  CHECK(ids(5, 1) == ids(5, 1));
  CHECK(ids(5, 1) != ids(5, 2));
  const auto all = ids(1000, 3);
  CHECK(all.size() == 50);
  CHECK(std::set<std::string>(all.begin(), all.end()).size() == 50);
  const auto ten = ids(10, 3);
  CHECK(std::equal(ten.begin(), ten.end(), all.begin()));
  CHECK(ids(0, 3).front() == "0");
}

TEST_CASE("what is not SQuAD is refused by name and field") {
  using Catch::Contains;
  CHECK_THROWS_WITH(read_text("{}"), Contains("data.json") && Contains("\"data\""));
  CHECK_THROWS_WITH(read_text("[1]"), Contains("\"data\""));
  CHECK_THROWS_WITH(read_text("{\"data\": 1}"), Contains("no list"));
  CHECK_THROWS_WITH(read_text("{\"data\": []}"), Contains("no question"));
  CHECK_THROWS_WITH(read_text("{\"data\": [{\"title\": 3}]}"), Contains("no string"));
  CHECK_THROWS_WITH(read_text(R"({"data": [{"title": "T", "paragraphs": [{"context": "c", "qas": [
                              {"question": "q?", "answers": []}]}]}]})"),
                    Contains("no answer for 'q?'"));
  CHECK_THROWS_WITH(read_text(R"({"data": [{"title": "Mills", "paragraphs": [{"context": "c", "qas": []},
                              {"context": " \n", "qas": []}]}]})"),
                    Contains("an empty \"context\" in Mills"));
  CHECK_THROWS_AS(read_text("not json"), Error);
  CHECK_THROWS_AS(read_squad("/no/such/file.json"), Error);
}

}  // namespace lectern
