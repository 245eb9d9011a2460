#include "apps/server/stores.h"

#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::server;

namespace fs = std::filesystem;

namespace {

size_t n_entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

void sync(Stores& stores, Collection& collection) {
  stores.sync("vs", collection, {}, CancelToken());
}

}  // namespace

TEST_CASE("a client's filename is only a name") {
  CHECK(clean_filename("../../etc/passwd") == "passwd");
  CHECK(clean_filename("C:\\temp\\x.md") == "x.md");
  CHECK(clean_filename("a\r\nb\x01.md") == "ab.md");
  CHECK(clean_filename("") == "file");
  CHECK(clean_filename("x/..") == "file");
  CHECK(clean_filename("\xFF.md") == "\xEF\xBF\xBD.md");
  const std::string cut = clean_filename(std::string(400, 'x') + ".md");
  CHECK(cut.size() == 255);
  CHECK(cut.ends_with(".md"));
}

TEST_CASE("the same bytes are stored once and go with their last file") {
  const TempFolder folder;
  Stores stores(folder.path());
  const FileRecord a = stores.upload("a.md", "assistants", "text"),
                   b = stores.upload("b.md", "assistants", "text");
  CHECK(a.id != b.id);
  CHECK(n_entries(folder.path() / "files") == 1);
  CHECK(stores.content(a) == "text");
  CHECK(stores.remove_file(a.id)->empty());
  CHECK(stores.content(b) == "text");
  stores.remove_file(b.id);
  CHECK(n_entries(folder.path() / "files") == 0);
  CHECK_FALSE(stores.remove_file(b.id));
}

TEST_CASE("a store is brought in line with the catalog") {
  const TempFolder folder;
  Stores stores(folder.path());
  Catalog& catalog = stores.catalog();
  const FileRecord a = stores.upload("a.md", "assistants", "Ada painted the lighthouse."),
                   b = stores.upload("a.md", "assistants", "Quince trees grow here."),
                   bad = stores.upload("bad.docx", "assistants", "no archive");
  catalog.add_store({"vs", "", Json::object(), 1, 1}, {{a.id}, {b.id}, {bad.id}});
  const auto collection = Collection::open(stores.database("vs"));
  sync(stores, *collection);
  CHECK(catalog.store_file("vs", a.id)->status == "completed");
  CHECK(catalog.store_file("vs", bad.id)->status == "failed");
  CHECK(catalog.store_file("vs", bad.id)->error_message.find(folder.path().string()) == std::string::npos);
  CHECK(collection->documents().size() == 2);
  CHECK(collection->find_document("a.md")->title == "a");

  SECTION("files that are gone go") {
    stores.remove_file(a.id);
    sync(stores, *collection);
    REQUIRE(collection->documents().size() == 1);
    CHECK(collection->documents()[0].path == "a (2).md");
  }
  SECTION("what a kill left undone is done") {
    // Between the document and its status, and between the catalog and the document.
    catalog.set_status("vs", a.id, "in_progress");
    collection->remove("a (2).md");
    catalog.set_status("vs", b.id, "in_progress");
    sync(stores, *collection);
    CHECK(collection->documents().size() == 2);
    CHECK(catalog.store_file("vs", b.id)->status == "completed");
    collection->verify();
  }
  SECTION("a cancelled sync goes on later") {
    catalog.set_status("vs", a.id, "in_progress");
    const CancelToken cancel;
    cancel.cancel();
    CHECK_THROWS_AS(stores.sync("vs", *collection, {}, cancel), Error);
    CHECK(catalog.store_file("vs", a.id)->status == "in_progress");
  }
}

TEST_CASE("bytes that nothing refers to go at the start when they are old") {
  const TempFolder folder;
  { Stores stores(folder.path()); }
  const fs::path old = folder.path() / "files" / "old", young = folder.path() / "files" / "young";
  for (const fs::path& path : {old, young}) std::ofstream(path) << "x";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  { Stores stores(folder.path()); }
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(young));
}
