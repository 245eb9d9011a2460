// index, search, read, status, rm: a folder's life.
#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;

namespace {

constexpr const char* kBicycle = R"(# The bicycle

Karl von Drais showed his running machine in Mannheim in 1817.

## Pedals

Pierre Michaux fitted pedals to the front wheel in the 1860s.
)";

// Documents as a person would have them.
struct Notes : World {
  Notes() {
    write("bicycle.md", kBicycle);
    write("music/beethoven.md", "# Beethoven\n\nThe Fifth Symphony was first played in Vienna in 1808.\n");
    write("battery.txt", "电池的保修期为三十六个月，自购买之日起计算。\n");
  }
  std::string folder_name() const { return documents().string(); }
  Json search(const std::string& words) const {
    return json(run({"search", folder_name(), words, "--json"}));
  }
};

}  // namespace

TEST_CASE("a folder is indexed once and then only what changed") {
  const Notes notes;
  const SubprocessResult first = notes.run({"index", notes.folder_name(), "--json"});
  REQUIRE(first.exit_code == 0);
  const Json report = World::json(first)["folders"][0];
  CHECK(report["added"] == 3);
  CHECK(report["documents"] == 3);
  CHECK(report["warnings"].empty());

  const Json again = World::json(notes.run({"index", notes.folder_name(), "--json"}))["folders"][0];
  CHECK(again["added"] == 0);
  CHECK(again["unchanged"] == 3);
  CHECK(again["bytes_read"] == 0);

  notes.write("bicycle.md", std::string(kBicycle) + "\nThe Rover of 1885 had equal wheels.\n");
  notes.write("new.md", "A new note about tea.\n");
  std::filesystem::remove(notes.documents() / "battery.txt");
  const Json changed = World::json(notes.run({"index", notes.folder_name(), "--json"}))["folders"][0];
  CHECK(changed["added"] == 1);
  CHECK(changed["changed"] == 1);
  CHECK(changed["removed"] == 1);
  CHECK(changed["unchanged"] == 1);
}

TEST_CASE("a collection that cannot be written is still searched") {
  const Notes notes;
  const std::filesystem::path folder = notes.documents().parent_path() / "kept";
  std::filesystem::create_directories(folder);
  const std::string database = (folder / "notes.db").string();
  REQUIRE(notes.run({"index", notes.folder_name(), "-c", database}).exit_code == 0);
  // As permissions would, but for root as well.
  std::filesystem::remove(database + ".lock");
  std::filesystem::create_directory(database + ".lock");
  const SubprocessResult found = notes.run({"search", notes.folder_name(), "pedals", "-c", database});
  CHECK(found.exit_code == 0);
  CHECK_THAT(found.out, Catch::Contains("bicycle.md"));
  CHECK_THAT(found.err, Catch::Contains("cannot be written") && Catch::Contains("--no-index"));
  CHECK(notes.run({"index", notes.folder_name(), "-c", database}).exit_code == 2);
}

TEST_CASE("search indexes a folder never seen and finds words in any script") {
  const Notes notes;
  const Json hits = notes.search("who fitted pedals");
  CHECK(hits["schema"] == "lectern.search/1");
  REQUIRE_FALSE(hits["hits"].empty());
  const Json hit = hits["hits"][0];
  CHECK(hit["path"] == "bicycle.md");
  CHECK_THAT(hit["heading"].get<std::string>(), Catch::Contains("The bicycle"));
  CHECK_THAT(hit["text"].get<std::string>(), Catch::Contains("Michaux"));
  CHECK(hit["pages"].is_null());
  CHECK(hit["lines"][0].get<int>() >= 1);

  CHECK(notes.search("保修期多久")["hits"][0]["path"] == "battery.txt");

  const SubprocessResult none = notes.run({"search", notes.folder_name(), "xylophone"});
  CHECK(none.exit_code == 1);
  CHECK(none.out.empty());
}

TEST_CASE("search explains its scores") {
  const Notes notes;
  const Json hit = World::json(
      notes.run({"search", notes.folder_name(), "Fifth Symphony", "--explain", "--json"}))["hits"][0];
  double sum = 0;
  for (const Json& term : hit["terms"]) sum += term["score"].get<double>();
  CHECK(hit["terms"].size() >= 2);
  CHECK(sum == Approx(hit["score"].get<double>()).epsilon(0.02));
}

TEST_CASE("an edited note is found by its new words and not by its old ones") {
  const Notes notes;
  CHECK_FALSE(notes.search("Mannheim")["hits"].empty());
  notes.write("bicycle.md", "# The bicycle\n\nShown in Karlsruhe, the notes now say.\n");
  CHECK_FALSE(notes.search("Karlsruhe")["hits"].empty());
  CHECK(notes.search("Mannheim")["hits"].empty());
}

TEST_CASE("read prints what a citation names") {
  const Notes notes;
  const Json hit = notes.search("Michaux pedals")["hits"][0];
  const auto read = [&notes](const std::string& reference) {
    return notes.run({"read", notes.folder_name(), reference});
  };
  CHECK(read("bicycle.md:7").out == "Pierre Michaux fitted pedals to the front wheel in the 1860s.\n");
  CHECK(read("bicycle.md:5-7").out ==
        "## Pedals\n\nPierre Michaux fitted pedals to the front wheel in the 1860s.\n");
  CHECK(read("bicycle.md").out == kBicycle);
  CHECK_THAT(read("#" + std::to_string(hit["chunk"].get<int64_t>())).out, Catch::Contains("Michaux"));
  // The reference that search prints is one that read takes.
  const SubprocessResult found = notes.run({"search", notes.folder_name(), "Michaux", "-k", "1"});
  const std::string reference = found.out.substr(3, found.out.find("  ") - 3);
  CHECK_THAT(read(reference).out, Catch::Contains("Michaux"));

  // A name may begin with what stands for a passage's number.
  notes.write("#1.md", "First of all, oil the chain.\n");
  CHECK_FALSE(notes.search("chain")["hits"].empty());
  CHECK(read("#1.md:1").out == "First of all, oil the chain.\n");

  CHECK(read("bicycle.md:700").exit_code == 1);
  CHECK(read("nothing.md").exit_code == 1);
  for (const std::string bad : {"bicycle.md:x", "bicycle.md:9-3", "#x", "bicycle.md:0"}) {
    INFO(bad);
    const SubprocessResult result = read(bad);
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
  }
}

TEST_CASE("commands work on the indexed folder that one is in") {
  const Notes notes;
  REQUIRE(notes.run({"index", notes.folder_name()}).exit_code == 0);
  const SubprocessResult inside =
      notes.run_shell("cd \"$DOCUMENTS/music\" && \"$LECTERN\" search Vienna --json");
  CHECK(World::json(inside)["hits"][0]["path"] == "music/beethoven.md");
  const SubprocessResult outside = notes.run_shell("cd / && \"$LECTERN\" search Vienna");
  CHECK(outside.exit_code == 2);
  CHECK(is_one_error(outside.err));
  CHECK_THAT(outside.err, Catch::Contains("FOLDER"));
}

TEST_CASE("a collection can be named and can hold several folders") {
  const Notes notes;
  const std::string database = (notes.folder() / "all.db").string();
  std::filesystem::create_directories(notes.folder() / "more");
  write_file_atomically(notes.folder() / "more" / "tea.md", "Oolong is partly oxidised tea.\n");
  REQUIRE(notes.run({"index", notes.folder_name(), (notes.folder() / "more").string(), "-c", database})
              .exit_code == 0);
  CHECK(World::json(notes.run({"search", "oolong", "-c", database, "--json"}))["hits"].size() == 1);
  CHECK(World::json(notes.run({"status", "-c", database, "--json"}))["documents"] == 4);
  CHECK(notes.run({"search", "oolong", "-c", (notes.folder() / "none.db").string()}).exit_code == 2);
}

TEST_CASE("status says what is indexed and rm forgets it") {
  const Notes notes;
  CHECK(notes.run({"status", notes.folder_name()}).exit_code == 2);
  REQUIRE(notes.run({"index", notes.folder_name()}).exit_code == 0);
  const Json status = World::json(notes.run({"status", notes.folder_name(), "--files", "--json"}));
  CHECK(status["documents"] == 3);
  CHECK(status["files"].size() == 3);
  CHECK(status["languages"]["zh"] == 1);

  CHECK(World::json(notes.run({"rm", notes.folder_name(), "music", "--dry-run", "--json"}))["documents"] ==
        1);
  CHECK(World::json(notes.run({"rm", notes.folder_name(), "music", "--json"}))["documents"] == 1);
  CHECK(World::json(notes.run({"status", notes.folder_name(), "--json"}))["documents"] == 2);
  CHECK(notes.run({"rm", notes.folder_name(), "nothing.md"}).exit_code == 1);
  CHECK(std::filesystem::exists(notes.documents() / "music" / "beethoven.md"));

  const std::filesystem::path database = status["collection"].get<std::string>();
  CHECK(notes.run({"rm", notes.folder_name(), "--dry-run"}).exit_code == 0);
  CHECK(std::filesystem::exists(database));
  CHECK(notes.run({"rm", notes.folder_name()}).exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(database));
  CHECK(std::filesystem::exists(notes.documents() / "bicycle.md"));
}

TEST_CASE("rm deletes no file that is not a collection") {
  const Notes notes;
  const auto other = notes.write("precious.db", "my own data");
  CHECK(notes.run({"rm", notes.folder_name(), "-c", other.string()}).exit_code == 2);
  CHECK(read_file(other, 100) == "my own data");
}
