#include "apps/server/catalog.h"

#include "apps/server/http.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::server;

namespace {

FileRecord file(const std::string& id, const std::string& name) {
  return {id, name, "assistants", "content-" + id, 7, 100};
}

}  // namespace

TEST_CASE("the catalog keeps files and stores over a restart") {
  const TempFolder folder;
  {
    Catalog catalog(folder.path() / "catalog.db");
    catalog.add_file(file("file-1", "a.md"));
    catalog.add_store({"vs_1", "One", {{"k", "v"}}, 1, 2}, {{"file-1", {{"year", 3}}}});
    catalog.set_status("vs_1", "file-1", "failed", "invalid_file", "torn");
  }
  Catalog catalog(folder.path() / "catalog.db");
  REQUIRE(catalog.files().size() == 1);
  CHECK(catalog.file("file-1")->filename == "a.md");
  CHECK_FALSE(catalog.file("file-2"));
  CHECK(catalog.store("vs_1")->metadata == Json{{"k", "v"}});
  const auto files = catalog.store_files("vs_1");
  REQUIRE(files.size() == 1);
  CHECK(files[0].status == "failed");
  CHECK(files[0].error_message == "torn");
  CHECK(files[0].attributes == Json{{"year", 3}});
  CHECK(files[0].path == "a.md");
}

TEST_CASE("files of one name have paths of their own in a store") {
  const TempFolder folder;
  Catalog catalog(folder.path() / "catalog.db");
  for (const char* id : {"1", "2", "3"}) catalog.add_file(file(id, "a.md"));
  catalog.add_file(file("4", "a (2).md"));
  catalog.add_store({"vs", "", Json::object(), 1, 1}, {{"1"}, {"4"}, {"2"}, {"3"}});
  std::vector<std::string> paths;
  for (const StoreFile& f : catalog.store_files("vs")) paths.push_back(f.path);
  CHECK(paths == std::vector<std::string>{"a.md", "a (2).md", "a (3).md", "a (4).md"});
  catalog.attach("vs", {{"2", {{"new", true}}}}, "");  // once more: read again, under its path
  CHECK(catalog.store_file("vs", "2")->path == "a (3).md");
  CHECK(catalog.store_file("vs", "2")->attributes == Json{{"new", true}});
}

TEST_CASE("what is removed goes from all that refer to it") {
  const TempFolder folder;
  Catalog catalog(folder.path() / "catalog.db");
  catalog.add_file(file("1", "a.md"));
  catalog.add_file(file("2", "b.md"));
  catalog.add_store({"x", "", Json::object(), 1, 1}, {{"1"}, {"2"}});
  catalog.add_store({"y", "", Json::object(), 1, 1}, {});
  catalog.attach("y", {{"1"}}, "batch");
  CHECK(catalog.batch("y", "batch"));
  CHECK_FALSE(catalog.batch("x", "batch"));
  CHECK(catalog.is_content_used("content-1"));
  CHECK(*catalog.remove_file("1") == std::vector<std::string>{"x", "y"});
  CHECK_FALSE(catalog.is_content_used("content-1"));
  CHECK(catalog.store_files("x").size() == 1);
  CHECK(catalog.store_files("y").empty());
  CHECK_FALSE(catalog.remove_file("1"));
  CHECK(catalog.detach("x", "2"));
  CHECK_FALSE(catalog.detach("x", "2"));
  CHECK(catalog.remove_store("y"));
  CHECK_FALSE(catalog.remove_store("y"));
  CHECK_FALSE(catalog.batch("y", "batch"));
}

TEST_CASE("a file that is not there cannot be attached and leaves nothing behind") {
  const TempFolder folder;
  Catalog catalog(folder.path() / "catalog.db");
  catalog.add_file(file("1", "a.md"));
  CHECK_THROWS_AS(catalog.add_store({"x", "", Json::object(), 1, 1}, {{"1"}, {"none"}}), HttpError);
  CHECK_FALSE(catalog.store("x"));
  catalog.add_store({"x", "", Json::object(), 1, 1}, {});
  CHECK_THROWS_AS(catalog.attach("x", {{"1"}, {"none"}}, "batch"), HttpError);
  CHECK(catalog.store_files("x").empty());
  CHECK_FALSE(catalog.batch("x", "batch"));
}

TEST_CASE("a cancelled batch leaves what is done") {
  const TempFolder folder;
  Catalog catalog(folder.path() / "catalog.db");
  for (const char* id : {"1", "2"}) catalog.add_file(file(id, "a.md"));
  catalog.add_store({"x", "", Json::object(), 1, 1}, {});
  catalog.attach("x", {{"1"}, {"2"}}, "batch");
  catalog.set_status("x", "1", "completed");
  catalog.cancel_batch("x", "batch");
  CHECK(catalog.store_file("x", "1")->status == "completed");
  CHECK(catalog.store_file("x", "2")->status == "cancelled");
}
