// Input that is wrong in every way we could think of: one clear warning or error each, the documented exit
// code, and the index whole afterwards.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/program.h"
#include "tests/support/catch.h"
#include "tests/support/zip_file.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

struct Folder : World {
  Folder() { write("good.md", "# Good\n\nThe lighthouse was built in 1850.\n"); }

  SubprocessResult index() const { return run({"index", documents().string(), "--json"}); }
  // The good document is indexed, found, and postings and chunks agree.
  void check_index_is_whole() const {
    const SubprocessResult found =
        run({"search", documents().string(), "lighthouse", "--no-index", "--json"});
    REQUIRE(found.exit_code == 0);
    CHECK(json(found)["hits"][0]["path"] == "good.md");
    CHECK(run({"doctor", documents().string(), "--json"}).exit_code == 0);
  }
};

// Its user password is not the empty one.
constexpr const char* kLockedPdf =
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 0/Kids[]>>endobj\n"
    "3 0 obj<</Filter/Standard/V 1/R "
    "2/O(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)/U(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)"
    "/P -4>>endobj\ntrailer<</Root 1 0 R/Encrypt 3 0 R/ID[(0123456789abcdef)(0123456789abcdef)]>>\n%%EOF\n";

int count_lines(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("a bad document is one warning that names it and the rest is indexed") {
  const Folder folder;
  std::string name;
  std::string content;
  SECTION("binary data") {
    name = "image.md";
    content = std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(5000, '\0');
  }
  SECTION("a broken PDF") {
    name = "broken.pdf";
    content = "%PDF-1.7\n1 0 obj\n<< /Type /Catalog\nxref\ntrailer\n%%EOF\n";
  }
  SECTION("a PDF that is cut off") {
    name = "cut.pdf";
    content = "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Length 100>>\nstream\n";
  }
  SECTION("a DOCX that is no zip") {
    name = "broken.docx";
    content = "PK\x03\x04 this is not a zip file";
  }
  SECTION("an EPUB that is empty") {
    name = "empty.epub";
  }
  SECTION("an EPUB without a book") {
    name = "hollow.epub";
    content = make_zip({{"mimetype", "application/epub+zip"}});
  }
  SECTION("a DOCX without a document") {
    name = "hollow.docx";
    content = make_zip({{"[Content_Types].xml", "<x/>"}});
  }
  SECTION("a DOCX with broken XML") {
    name = "xml.docx";
    content = make_zip({{"word/document.xml", "<w:document xmlns:w='x'><w:body>"}});
  }
  SECTION("a DOCX with a password") {
    name = "locked.docx";
    content = make_zip({{"word/document.xml", "<x/>"}}, "zip:encryption=traditional", "secret");
  }
  SECTION("a zip bomb") {
    name = "bomb.docx";
    content = make_zip({{"word/document.xml", "<w:document xmlns:w='x'>" + std::string(64 << 20, 'a')}});
  }
  SECTION("a PDF with a password") {
    name = "locked.pdf";
    content = kLockedPdf;
  }
  SECTION("zero bytes in a text") {
    name = "zeros.txt";
    content = std::string("before \0 after\n", 15);
  }
  const fs::path file = folder.write(name, content);
  const SubprocessResult result = folder.index();
  CHECK(result.exit_code == 0);
  CHECK(count_lines(result.err) == 1);
  CHECK_THAT(result.err, Catch::StartsWith("lectern: warning: ") && Catch::Contains(name));
  const Json report = World::json(result)["folders"][0];
  CHECK(report["documents"] == 1);
  REQUIRE(report["warnings"].size() == 1);
  CHECK_THAT(report["warnings"][0]["reason"].get<std::string>(), !Catch::Contains(name));  // named once
  folder.check_index_is_whole();

  // The next questions do not say it again, indexing does.
  const SubprocessResult searched = folder.run({"search", folder.documents().string(), "lighthouse", "-q"});
  CHECK(searched.exit_code == 0);
  CHECK(searched.err.empty());
  CHECK_THAT(folder.index().err, Catch::Contains(name));
}

TEST_CASE("odd but readable documents are indexed") {
  const Folder folder;
  SECTION("an empty file") {
    folder.write("empty.md", "");
  }
  SECTION("invalid UTF-8") {
    folder.write("mixed.txt", "before \xff\xfe\x80 after the quarrel\nmore \xc3( text\n");
    CHECK(folder.index().exit_code == 0);
    CHECK_FALSE(World::json(folder.run({"search", folder.documents().string(), "quarrel", "--json"}))["hits"]
                    .empty());
  }
  SECTION("UTF-16 with a byte-order mark") {
    for (const std::string order : {"LE", "BE"}) {
      std::string bytes = order == "LE" ? "\xff\xfe" : "\xfe\xff";
      for (const char c : std::string("The albatross flew.\n")) {
        const std::string unit = {c, '\0'};
        bytes += order == "LE" ? unit : std::string(unit.rbegin(), unit.rend());
      }
      folder.write(order + ".txt", bytes);
    }
    const SubprocessResult found = folder.run({"search", folder.documents().string(), "albatross", "--json"});
    CHECK(World::json(found)["hits"].size() == 2);
  }
  SECTION("one very long line") {
    std::string line = "needle ";
    while (line.size() < (8u << 20)) line += "word" + std::to_string(line.size()) + " ";
    folder.write("long.txt", line);
  }
  SECTION("one very long word") {
    folder.write("word.txt", std::string(4 << 20, 'a'));
  }
  SECTION("only line ends") {
    folder.write("lines.txt", std::string(1 << 20, '\n'));
  }
  SECTION("deeply nested HTML") {
    std::string html;
    for (int i = 0; i < 100'000; ++i) html += "<div><b>";
    folder.write("deep.html", html + "text");
  }
  SECTION("names with newlines, quotes, controls and no UTF-8") {
    folder.write("two\nlines.md", "The albatross flew.\n");
    folder.write("quote\"'`$(x).md", "The albatross sat.\n");
    folder.write("bad\xff\xfename.md", "The albatross swam.\n");
    folder.write("esc\x1b[31m.md", "The albatross slept.\n");
    folder.write(std::string(252, 'n') + ".md", "The albatross dreamt.\n");
    const SubprocessResult found = folder.run({"search", folder.documents().string(), "albatross"});
    CHECK(found.exit_code == 0);
    CHECK(found.out.find('\x1b') == std::string::npos);
    CHECK_THAT(found.out, Catch::Contains("two\\nlines.md"));
  }
  SECTION("links in circles") {
    fs::create_directories(folder.documents() / "a");
    fs::create_directory_symlink(folder.documents(), folder.documents() / "a" / "back");
    fs::create_symlink("self.md", folder.documents() / "self.md");
    fs::create_symlink("nowhere.md", folder.documents() / "dangling.md");
  }
  SECTION("pipes and sockets") {
    REQUIRE(::mkfifo((folder.documents() / "pipe.md").c_str(), 0600) == 0);
    fs::create_symlink("/dev/zero", folder.documents() / "zero.md");
  }
  const SubprocessResult result = folder.index();
  CHECK(result.exit_code == 0);
  CHECK(count_lines(result.err) <= 3);
  folder.check_index_is_whole();
}

TEST_CASE("a folder that is not there is one error") {
  const Folder folder;
  for (const std::string command : {"index", "search", "status", "rm", "read"}) {
    INFO(command);
    std::vector<std::string> arguments = {command, (folder.folder() / "nothing").string()};
    if (command == "search" || command == "read") arguments.push_back("word");
    const SubprocessResult result = folder.run(arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains("nothing"));
  }
}

TEST_CASE("what is neither a folder nor a file is one error") {
  const Folder folder;
  const std::string database = (folder.folder() / "m.db").string();
  REQUIRE(folder.run({"index", folder.documents().string(), "-c", database}).exit_code == 0);
  const SubprocessResult result =
      folder.run({"search", "/dev/null", "lighthouse", "-c", database, "--no-index"});
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("/dev/null: is neither a file nor a folder"));
}

TEST_CASE("files and folders that may not be read are warnings and the rest is indexed") {
  const Folder folder;
  const auto secret = folder.write("secret.md", "hidden\n");
  const auto closed = folder.write("closed/inside.md", "hidden too\n").parent_path();
  fs::permissions(secret, fs::perms::none);
  fs::permissions(closed, fs::perms::none);
  // The superuser may read everything: then as nobody, with a copy of the program where nobody may run it.
  fs::permissions(folder.folder(), fs::perms::all);
  std::string as = "";
  if (::geteuid() == 0) as = "setpriv --reuid=65534 --regid=65534 --clear-groups ";
  const SubprocessResult result = folder.run_shell("cp \"$LECTERN\" \"$DOCUMENTS/../lectern\" && " + as +
                                                   "\"$DOCUMENTS/../lectern\" index \"$DOCUMENTS\" --json");
  fs::permissions(closed, fs::perms::owner_all);
  CHECK(result.exit_code == 0);
  const Json report = World::json(result)["folders"][0];
  CHECK(report["documents"] == 1);
  CHECK_THAT(result.err, Catch::Contains("secret.md") && Catch::Contains("closed"));
}

TEST_CASE("a database that cannot be written is one error and stays as it was") {
  const Folder folder;
  fs::permissions(folder.folder(), fs::perms::all);
  const std::string as = ::geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  const std::string program =
      "cp \"$LECTERN\" \"$DOCUMENTS/../lectern\" && " + as + "\"$DOCUMENTS/../lectern\" ";

  SECTION("the folder for it is read-only") {
    fs::create_directories(folder.folder() / "data");
    fs::permissions(folder.folder() / "data", fs::perms::owner_read | fs::perms::owner_exec |
                                                  fs::perms::others_read | fs::perms::others_exec);
    const SubprocessResult result = folder.run_shell(program + "index \"$DOCUMENTS\"");
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains("data"));
  }
  SECTION("no more than a little may be written") {
    REQUIRE(folder.index().exit_code == 0);
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (int j = 0; j < 20'000; ++j) text += "word" + std::to_string(i * 20'000 + j) + " ";
      folder.write("big" + std::to_string(i) + ".txt", text);
    }
    // In 1,024-byte blocks: less than the index needs.
    const SubprocessResult result = folder.run_shell("ulimit -f 400; \"$LECTERN\" index \"$DOCUMENTS\"");
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    folder.check_index_is_whole();
    CHECK(folder.index().exit_code == 0);
  }
  SECTION("the disk is full") {
    const SubprocessResult mounted = folder.run_shell(
        "mkdir -p \"$DOCUMENTS/../data\" && mount -t tmpfs -o size=2m,mode=777 none \"$DOCUMENTS/../data\"");
    if (mounted.exit_code != 0) LECTERN_SKIP("mounting a small disk needs the superuser");
    CHECK(folder.index().exit_code == 0);
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (int j = 0; j < 20'000; ++j) text += "word" + std::to_string(i * 20'000 + j) + " ";
      folder.write("big" + std::to_string(i) + ".txt", text);
    }
    const SubprocessResult result = folder.index();
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    folder.check_index_is_whole();
    folder.run_shell("umount \"$DOCUMENTS/../data\"");
  }
}

TEST_CASE("an empty folder and a single file are no errors") {
  const Folder folder;
  const fs::path empty = folder.folder() / "empty";
  fs::create_directories(empty);
  CHECK(folder.run({"index", empty.string()}).exit_code == 0);
  CHECK(folder.run({"search", empty.string(), "lighthouse"}).exit_code == 1);
  CHECK(folder.run({"search", (folder.documents() / "good.md").string(), "lighthouse"}).exit_code == 0);
}

namespace {

// The folder's index, damaged or changed on disk.
struct Indexed : Folder {
  fs::path database;
  Indexed() {
    REQUIRE(index().exit_code == 0);
    database = json(run({"status", documents().string(), "--json"}))["collection"].get<std::string>();
  }
  void overwrite(size_t offset, const std::string& bytes) const {
    std::fstream file(database, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
    REQUIRE(file.good());
  }
  // Every command says so in one error; rm is the way out.
  void check_refused(const std::string& words) const {
    const std::string before = read_file(database, uint64_t{1} << 30);
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"search", documents().string(), "lighthouse"},
          {"index", documents().string()},
          {"read", documents().string(), "good.md"}}) {
      INFO(command[0]);
      const SubprocessResult result = run(command);
      CHECK(result.exit_code == 2);
      CHECK(is_one_error(result.err));
      CHECK_THAT(result.err, Catch::Contains(database.filename().string()) && Catch::Contains(words));
    }
    CHECK(run({"doctor", documents().string()}).exit_code == 2);
    CHECK(read_file(database, uint64_t{1} << 30) == before);
    CHECK(run({"rm", documents().string()}).exit_code == 0);
    CHECK_FALSE(fs::exists(database));
    CHECK(index().exit_code == 0);
    check_index_is_whole();
  }
};

}  // namespace

TEST_CASE("a damaged or newer index is one error and rm is the way out") {
  const Indexed folder;
  SECTION("damaged pages") {
    const auto bytes = fs::file_size(folder.database);
    for (size_t page = 8192; page < bytes; page += 8192) folder.overwrite(page, std::string(200, '\xff'));
    folder.check_refused("damaged");
  }
  SECTION("cut off") {
    fs::resize_file(folder.database, 8192 * 2);
    folder.check_refused("damaged");
  }
  SECTION("of a newer format") {
    folder.overwrite(60, std::string("\0\0\0\x09", 4));  // user_version, SQLite's file format 1.3
    folder.check_refused("newer Lectern");
  }
}

TEST_CASE("while another process writes to the index it can be searched but not changed") {
  const Indexed folder;
  folder.write("new.md", "The albatross flew.\n");
  const auto locked = [&](const std::string& command) {
    return folder.run_shell("exec 9> '" + folder.database.string() + ".lock' && flock -n 9 && \"$LECTERN\" " +
                            command);
  };
  const SubprocessResult index = locked("index \"$DOCUMENTS\"");
  CHECK(index.exit_code == 2);
  CHECK(is_one_error(index.err));
  CHECK_THAT(index.err, Catch::Contains("another process"));
  const SubprocessResult rm = locked("rm \"$DOCUMENTS\"");
  CHECK(rm.exit_code == 2);
  CHECK(is_one_error(rm.err));
  CHECK(fs::exists(folder.database));
  const SubprocessResult search = locked("search \"$DOCUMENTS\" lighthouse");
  CHECK(search.exit_code == 0);
  CHECK_THAT(search.err, Catch::Contains("not brought up to date"));
  folder.check_index_is_whole();
}

TEST_CASE("a database that is not ours is refused") {
  const Folder folder;
  std::string content;
  SECTION("text") {
    content = "not a database";
  }
  SECTION("a cut-off database") {
    content = "SQLite format 3";
  }
  SECTION("nothing but zeros") {
    content = std::string(8192, '\0');
  }
  write_file_atomically(folder.folder() / "other.db", content);
  const SubprocessResult result = folder.run(
      {"search", folder.documents().string(), "lighthouse", "-c", (folder.folder() / "other.db").string()});
  CHECK(result.exit_code == 2);
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("other.db"));
  CHECK(read_file(folder.folder() / "other.db", 10'000) == content);
}

TEST_CASE("two at once: the second reader or writer does not break the first") {
  const Folder folder;
  for (int i = 0; i < 200; ++i)
    folder.write("n" + std::to_string(i) + ".md", "Note number " + std::to_string(i) + "\n");
  const SubprocessResult result = folder.run_shell(
      "for i in 1 2 3 4; do \"$LECTERN\" search \"$DOCUMENTS\" lighthouse --json > \"$DOCUMENTS/../out$i\" & "
      "done; wait; "
      "cat \"$DOCUMENTS\"/../out* | wc -l");
  CHECK(result.exit_code == 0);
  REQUIRE(folder.index().exit_code == 0);
  folder.check_index_is_whole();
}

TEST_CASE("of two that index at once each ends well or says that the other writes") {
  const Folder folder;
  for (int i = 0; i < 200; ++i)
    folder.write("n" + std::to_string(i) + ".md", "Note number " + std::to_string(i) + "\n");
  const SubprocessResult result = folder.run_shell(
      "for i in 1 2 3; do ( \"$LECTERN\" index \"$DOCUMENTS\" -q > /dev/null; echo $? ) & done; wait");
  CHECK(std::count(result.out.begin(), result.out.end(), '\n') == 3);
  CHECK_THAT(result.out, Catch::Contains("0\n") && !Catch::Contains("1"));
  for (const char c : result.out) CHECK((c == '0' || c == '2' || c == '\n'));
  const auto refused = std::count(result.out.begin(), result.out.end(), '2');
  CHECK(count_lines(result.err) == refused);
  if (refused > 0) CHECK_THAT(result.err, Catch::Contains("another process"));
  CHECK(folder.index().exit_code == 0);
  folder.check_index_is_whole();
}

TEST_CASE("an interrupt keeps what was indexed and ends with 130") {
  const Folder folder;
  for (int i = 0; i < 30; ++i) {
    std::string text;
    for (int j = 0; j < 60'000; ++j) text += "word" + std::to_string(i * 7 + j) + " ";
    folder.write("big" + std::to_string(i) + ".txt", text);
  }
  const SubprocessResult result = folder.run_shell(
      "\"$LECTERN\" index \"$DOCUMENTS\" & pid=$!; sleep 0.5; kill -INT $pid; wait $pid; echo $?");
  // A fast machine may have finished.
  CHECK((result.out.ends_with("130\n") || result.out.ends_with("0\n")));
  CHECK(folder.index().exit_code == 0);
  folder.check_index_is_whole();
}
