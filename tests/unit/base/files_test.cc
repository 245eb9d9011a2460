#include "base/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;

TEST_CASE("write_file_atomically replaces a file and leaves nothing else behind") {
  const TempFolder folder;
  const auto path = folder.path() / "a.txt";
  write_file_atomically(path, "one");
  write_file_atomically(path, "two");
  CHECK(read_file(path, 100) == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("write_file_atomically follows links and replaces nothing but files") {
  namespace fs = std::filesystem;
  const TempFolder folder;
  fs::create_directories(folder.path() / "deep");
  fs::create_symlink("deep/a.txt", folder.path() / "link");  // to nothing yet
  fs::create_symlink(folder.path() / "link", folder.path() / "deep" / "back");
  write_file_atomically(folder.path() / "deep" / "back", "one");
  CHECK(fs::is_symlink(folder.path() / "link"));
  CHECK(fs::is_symlink(folder.path() / "deep" / "back"));
  CHECK(read_file(folder.path() / "deep" / "a.txt", 100) == "one");

  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  fs::create_symlink("fifo", folder.path() / "to_fifo");
  fs::create_symlink("circle", folder.path() / "circle");
  for (const char* name : {"fifo", "to_fifo", "circle", "deep"}) {
    INFO(name);
    CHECK_THROWS_WITH(write_file_atomically(folder.path() / name, "two"), Catch::Contains(name));
  }
  CHECK(fs::is_fifo(folder.path() / "fifo"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 5);
}

TEST_CASE("read_file names the file and the limit") {
  const TempFolder folder;
  write_file_atomically(folder.path() / "a.txt", "12345");
  CHECK_THROWS_WITH(read_file(folder.path() / "a.txt", 4),
                    Catch::Contains("a.txt") && Catch::Contains("limit of 4"));
  CHECK_THROWS_WITH(read_file(folder.path() / "none", 4), Catch::Contains("none"));
  CHECK_THROWS_AS(read_file(folder.path(), 4), Error);
}

TEST_CASE("MappedFile maps regular files only and does not wait for a FIFO") {
  const TempFolder folder;
  write_file_atomically(folder.path() / "a", "abc");
  write_file_atomically(folder.path() / "empty", "");
  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  CHECK(MappedFile(folder.path() / "a").bytes().size() == 3);
  CHECK_THROWS_WITH(MappedFile(folder.path() / "empty"), Catch::Contains("is empty"));
  CHECK_THROWS_WITH(MappedFile(folder.path() / "fifo"), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(MappedFile(folder.path()), Catch::Contains("not a regular file"));
}
