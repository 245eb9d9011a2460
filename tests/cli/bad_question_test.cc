// Questions and queries that hold nothing, or too much, or bytes that are no text.
#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;

namespace {

struct Notes : World {
  Notes() { write("good.md", "# Good\n\nThe lighthouse was built in 1850.\n"); }
  std::string name() const { return documents().string(); }
};

}  // namespace

TEST_CASE("a question without words is refused before anything is read") {
  const Notes notes;
  for (const std::string text : {"", " ", "\n\t ", "?", "?! ... --", "。，？"}) {
    for (const std::string command : {"ask", "search"}) {
      INFO(command << " '" << text << "'");
      const SubprocessResult result = notes.run({command, notes.name(), text});
      CHECK(result.exit_code == 2);
      CHECK(result.out.empty());
      CHECK(is_one_error(result.err));
      CHECK_THAT(result.err, Catch::Contains("is empty") || Catch::Contains("has no words"));
    }
  }
}

TEST_CASE("a query of nothing but stop words is looked for") {
  const Notes notes;
  CHECK(notes.run({"search", notes.name(), "was the in"}).exit_code == 0);
}

TEST_CASE("a query of 100,000 characters is answered") {
  const Notes notes;
  std::string query, chinese;
  while (query.size() < 100'000) query += "lighthouse number " + std::to_string(query.size()) + " ";
  while (chinese.size() < 100'000) chinese += "灯塔是哪年建成的";
  CHECK(notes.run({"search", notes.name(), query}).exit_code == 0);
  CHECK(notes.run({"search", notes.name(), chinese}).exit_code == 1);
  CHECK(notes.run({"search", notes.name(), std::string(100'000, 'a')}).exit_code == 1);
}

TEST_CASE("a query with control characters and no UTF-8 is answered") {
  const Notes notes;
  for (const std::string query :
       {"light\x01house lighthouse", "lighthouse \xff\xfe", "\x1b[31m lighthouse"}) {
    const SubprocessResult result = notes.run({"search", notes.name(), query, "--json"});
    CHECK(result.exit_code == 0);
    CHECK(World::json(result)["hits"].size() == 1);
  }
}

TEST_CASE("a bad question in a file is one error that names the file and the entry") {
  const Notes notes;
  const auto check = [&](const std::string& second, const std::string& said) {
    const auto file = notes.folder() / "questions.json";
    write_file_atomically(file, R"([{"question": "When?", "answers": [], "files": []}, )" + second + "]");
    const SubprocessResult result = notes.run({"eval", "folder", notes.name(), "--questions", file.string()});
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains("questions.json: entry 2") && Catch::Contains(said));
  };
  check(R"({"question": " ", "answers": [], "files": []})", "the question is empty");
  check(R"({"question": "?!", "answers": [], "files": []})", "has no words");
  check(R"({"question": "When?", "answers": 7, "files": []})", "has an \"answers\" that is no list");
  check(R"({"question": "When?", "answers": ["1817", " "], "files": []})", "an answer without words: \" \"");
  check(R"({"question": "When?", "answers": [], "files": 7})", "has a \"files\" that is no list");
}

TEST_CASE("a needed file is a path within the folder and not the end of one") {
  const Notes notes;
  notes.write("sub/README.md", "The meeting is on 4 May.\n");
  const auto file = notes.folder() / "questions.json";
  write_file_atomically(file, R"([{"question": "When?", "answers": ["4 May"], "files": ["README.md"]}])");
  const SubprocessResult result = notes.run({"eval", "folder", notes.name(), "--questions", file.string()});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Catch::Contains("entry 1: README.md is no document of"));
}

TEST_CASE("what eval qa could not measure is refused with the question") {
  const Notes notes;
  const auto file = notes.folder() / "squad.json";
  const auto check = [&](const std::string& question, const std::string& answer, const std::string& said,
                         std::vector<std::string> more = {}) {
    write_file_atomically(
        file, R"({"data": [{"title": "T", "paragraphs": [{"context": "It was built in 1850.", "qas": [
        {"question": "When?", "answers": [{"text": "1850"}]}, {"question": ")" +
                  question + R"(", "answers": [{"text": ")" + answer + "\"}]}]}]}]}");
    more.insert(more.begin(), {"eval", "qa", "--data", file.string()});
    const SubprocessResult result = notes.run(more);
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains("squad.json: ") && Catch::Contains(said));
  };
  check("?!", "1850", "question 2: the question has no words");
  check("When?", "the", "question 2: none of its answers has a word");
  check("When?", "1850", "has one article", {"--unanswerable"});
}

TEST_CASE("files of questions and settings that hold zero bytes are one error that names them") {
  const Notes notes;
  const auto zeros = notes.folder() / "zeros.json";
  write_file_atomically(zeros, std::string("{\"data\": \0 []}", 14));
  const SubprocessResult data = notes.run({"eval", "search", "--data", zeros.string()});
  CHECK(data.exit_code == 2);
  CHECK(is_one_error(data.err));
  CHECK_THAT(data.err, Catch::Contains("zeros.json") && Catch::Contains("byte"));

  write_file_atomically(notes.folder() / ".lectern.json", std::string("{\"model\": \"a\0b\"}", 16));
  const SubprocessResult settings =
      notes.run_shell("mkdir -p \"$DOCUMENTS\" && cd \"$DOCUMENTS\" && \"$LECTERN\" models");
  CHECK(settings.exit_code == 2);
  CHECK(is_one_error(settings.err));
  CHECK_THAT(settings.err, Catch::Contains(".lectern.json"));
}
