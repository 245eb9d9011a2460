// The examples: those that end each command's help are run as a person would paste them, in a copy of
// examples/, and the questions of examples/notes find their evidence.
#include <set>

#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

const fs::path kExamples = fs::path(LECTERN_SOURCE_DIR) / "examples";

}  // namespace

TEST_CASE("the examples in the help work when pasted") {
  const World world;
  fs::create_directories(world.documents());
  fs::copy(kExamples, world.documents(), fs::copy_options::recursive);
  // Those that need a model or the network are run by program_model_test.cc, or not at all (pull).
  const std::vector<std::vector<std::string>> commands = {{"search"},
                                                          {"read"},
                                                          {"index"},
                                                          {"status"},
                                                          {"rm"},
                                                          {"models"},
                                                          {"doctor"},
                                                          {"completion"},
                                                          {"mcp"},
                                                          {"eval", "search"},
                                                          {"eval", "multihop"},
                                                          {"bench", "search"},
                                                          {"eval"}};
  for (const auto& command : commands) {
    const std::vector<std::string> examples = world.examples(command);
    CHECK_FALSE(examples.empty());
    for (const std::string& example : examples) {
      INFO(example);
      if (example.find("fish") != std::string::npos) continue;        // not for this shell
      if (example.find("--keywords") != std::string::npos) continue;  // needs a model
      const SubprocessResult result = world.run_shell(
          "lectern() { \"$LECTERN\" \"$@\"; }; cd \"$DOCUMENTS\" && lectern index notes > /dev/null && " +
          example);
      INFO(result.err);
      // A new home has no model: that is nothing found.
      CHECK(result.exit_code == (example.find("--installed") != std::string::npos ? 1 : 0));
      CHECK_THAT(result.err, !Catch::Contains("error"));
    }
  }
}

TEST_CASE("the questions of the notes find their evidence among the first passages") {
  const World world;
  const std::string notes = (kExamples / "notes").string();
  REQUIRE(world.run({"index", notes}).exit_code == 0);
  const Json questions = parse_json(read_file(kExamples / "notes" / "questions.json", 1 << 20), "questions");
  // They share no word with one of their documents: a model has to name it in the other language first.
  const std::set<std::string> need_keywords = {"en-zh-deposit", "zh-en-rent", "zh-fifth-vehicle",
                                               "en-zh-november-book"};
  size_t n_need_keywords = 0;
  for (const Json& question : questions) {
    if (need_keywords.contains(question["id"].get<std::string>())) {
      ++n_need_keywords;
      continue;
    }
    INFO(dump_json(question));
    const Json result = World::json(world.run(
        {"search", notes, question["question"].get<std::string>(), "-k", "10", "--no-index", "--json"}));
    std::set<std::string> found;
    for (const Json& hit : result["hits"]) found.insert(hit["path"].get<std::string>());
    for (const Json& file : question["files"]) CHECK(found.contains(file.get<std::string>()));
  }
  CHECK(questions.size() > 30);
  CHECK(n_need_keywords == need_keywords.size());
}

TEST_CASE("eval multihop finds every passage that the example questions need") {
  const World world;
  const std::string data = (kExamples / "multihop").string();
  const Json scores =
      World::json(world.run({"eval", "multihop", "--corpus", data + "/corpus.json", "--questions",
                             data + "/questions.json", "--retrieval-only", "--json"}));
  CHECK(scores["schema"] == "lectern.eval.multihop/1");
  CHECK(scores["n"] == 2);
  CHECK(scores["all_evidence_at_8"] == 1.0);
  CHECK(scores["words_alone"]["n"] == 2);
  const SubprocessResult swapped = world.run({"eval", "multihop", "--corpus", data + "/questions.json",
                                              "--questions", data + "/corpus.json", "--retrieval-only"});
  CHECK(swapped.exit_code > 1);
  CHECK_THAT(swapped.err, Catch::Contains("corpus.json: entry 1 has no \"question\""));
}

TEST_CASE("the questions of the letters name letters that are there") {
  const World world;
  const std::string letters = (kExamples / "letters").string();
  const Json index = World::json(world.run({"index", letters, "--json"}));
  CHECK(index["folders"][0]["documents"] == 10);  // neither the questions nor the page about them
  const Json questions =
      parse_json(read_file(kExamples / "letters" / "questions.json", 1 << 20), "questions");
  CHECK(questions.size() == 11);
  for (const Json& question : questions)
    for (const Json& file : question["files"])
      CHECK(fs::exists(kExamples / "letters" / file.get<std::string>()));
}

TEST_CASE("eval folder names what is wrong with its questions before it loads a model") {
  const World world;
  const std::string letters = (kExamples / "letters").string();
  const std::string questions = letters + "/questions.json";
  const SubprocessResult kind =
      world.run({"eval", "folder", letters, "--questions", questions, "--kind", "none"});
  CHECK(kind.exit_code == 2);
  CHECK_THAT(kind.err, Catch::Contains("no question is of the kind \"none\""));
  const std::string other = (kExamples / "multihop" / "questions.json").string();
  const SubprocessResult form = world.run({"eval", "folder", letters, "--questions", other});
  CHECK(form.exit_code == 2);
  CHECK_THAT(form.err, Catch::Contains("entry 1 has no \"answers\""));
}
