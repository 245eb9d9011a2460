// --json: stdout is one valid object a line whatever happens, and docs/cli.md knows every schema.
#include <set>
#include <sstream>

#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;

namespace {

struct Notes : World {
  Notes() {
    write("tea.md", "# Tea\n\nOolong is partly oxidised.\n");
    REQUIRE(run({"index", name()}).exit_code == 0);
  }
  std::string name() const { return documents().string(); }

  // The objects that `arguments` with --json print; every line of stdout is one.
  std::vector<Json> objects(std::vector<std::string> arguments, int exit_code) const {
    arguments.emplace_back("--json");
    const SubprocessResult result = run(arguments);
    INFO(arguments[0]);
    CHECK(result.exit_code == exit_code);
    std::vector<Json> objects;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) objects.push_back(parse_json(line, "stdout"));
    CHECK(objects.size() == 1);
    return objects;
  }
  Json object(const std::vector<std::string>& arguments, int exit_code) const {
    const auto all = objects(arguments, exit_code);
    return all.empty() ? Json::object() : all[0];
  }
};

}  // namespace

TEST_CASE("every command prints its object and the documents describe its fields") {
  const Notes notes;
  const std::string page = read_file(std::filesystem::path(LECTERN_SOURCE_DIR) / "docs" / "cli.md", 1 << 20);
  const std::vector<std::vector<std::string>> commands = {{"index", notes.name()},
                                                          {"search", notes.name(), "oolong"},
                                                          {"read", notes.name(), "#1"},
                                                          {"read", notes.name(), "tea.md:1"},
                                                          {"status", notes.name()},
                                                          {"status", notes.name(), "--files"},
                                                          {"status"},
                                                          {"models"},
                                                          {"doctor"},
                                                          {"rm", notes.name(), "--dry-run"},
                                                          {"search", notes.name(), "oolong", "--explain"}};
  for (const auto& command : commands) {
    const Json object = notes.object(command, 0);
    const auto schema = object["schema"].get<std::string>();
    INFO(schema);
    CHECK_THAT(page, Catch::Contains("`" + schema + "`"));
    for (const auto& [field, value] : object.items()) {
      INFO(field);
      if (field != "schema") CHECK_THAT(page, Catch::Contains("`" + field + "`"));
    }
  }
}

TEST_CASE("with --json a failure is an object on stdout and a line on stderr") {
  const Notes notes;
  const std::string nothing = (notes.folder() / "nothing").string();
  const std::vector<std::vector<std::string>> failures = {
      {"ask", nothing, "When?"},
      {"ask", notes.name(), ""},
      {"chat", nothing},
      {"search", nothing, "word"},
      {"search", notes.name(), "?!"},
      {"read", notes.name(), "tea.md:x"},
      {"index", nothing},
      {"status", nothing},
      {"rm", nothing},
      {"models", "--bogus"},
      {"pull", "gpt-5"},
      {"eval", "search", "--data", nothing},
      {"eval", "qa", "--data", nothing},
      {"eval", "needle", "--level", "2"},
      {"search"},
      {"bogus"},
      {"bench", "search", "--chunks", nothing, "--queries", nothing}};
  for (const auto& command : failures) {
    const Json error = notes.object(command, 2);
    INFO(dump_json(error));
    CHECK(error["schema"] == "lectern.error/1");
    CHECK(error["exit_code"] == 2);
    CHECK_FALSE(error["error"].get<std::string>().empty());
    CHECK_FALSE(error["code"].get<std::string>().empty());
  }
}

TEST_CASE("with --json nothing found is an object too") {
  const Notes notes;
  CHECK(notes.object({"search", notes.name(), "xylophone"}, 1)["hits"].empty());
  for (const std::string place : {"nothing.md", "tea.md:700"}) {
    const Json result = notes.object({"read", notes.name(), place}, 1);
    CHECK(result["schema"] == "lectern.error/1");
    CHECK(result["exit_code"] == 1);
  }
}

TEST_CASE("names that are not UTF-8 still give valid JSON") {
  const Notes notes;
  notes.write("bad\xff\xfename.md", "The albatross swam.\n");
  const Json hits = notes.object({"search", notes.name(), "albatross"}, 0)["hits"];
  REQUIRE(hits.size() == 1);
  CHECK(hits[0]["path"] == "bad\ufffd\ufffdname.md");
}
