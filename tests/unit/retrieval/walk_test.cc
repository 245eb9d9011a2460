#include "retrieval/walk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/ignore_rules.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

void write(const fs::path& path, const std::string& content = "x") {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

FoundFiles find(const fs::path& root) {
  const std::vector<fs::path> roots{root};
  return find_files(roots, true, CancelToken());
}

Names names(const FoundFiles& found) {
  Names out;
  for (const FoundFile& file : found.files) out.push_back(file.relative);
  return out;
}

bool matches(std::string_view pattern, std::string_view path, bool is_folder = false) {
  const auto parsed = IgnorePattern::parse(pattern);
  return parsed && parsed->matches(path, is_folder);
}

}  // namespace

TEST_CASE("ignore: patterns mean what git says they mean") {
  struct Case {
    const char* pattern;
    const char* path;
    bool expected;
    bool is_folder = false;
  };
  // Checked against `git check-ignore`.
  const std::vector<Case> cases{
      {"foo", "foo", true},
      {"foo", "a/foo", true},
      {"foo", "foobar", false},
      {"/foo", "a/foo", false},
      {"/foo", "foo", true},
      {"a/foo", "a/foo", true},
      {"a/foo", "b/a/foo", false},
      {"foo/", "foo", false},
      {"foo/", "foo", true, true},
      {"foo/", "a/foo", true, true},
      {"*.log", "x.log", true},
      {"*.log", "a/b/x.log", true},
      {"a/*.log", "a/x.log", true},
      {"a/*.log", "a/b/x.log", false},
      {"**/foo", "foo", true},
      {"**/foo", "a/b/foo", true},
      {"**/foo", "afoo", false},
      {"a/**", "a/b/c", true},
      {"a/**", "a", false, true},
      {"a/**/b", "a/b", true},
      {"a/**/b", "a/x/y/b", true},
      {"a/**/b", "a/xb", false},
      {"a**b", "a/b", false},
      {"a**b", "axxb", true},
      {"x/a**b", "x/axxb", true},
      {"x/a**b", "x/a/b", false},
      {"?oo", "foo", true},
      {"?oo", "oo", false},
      {"a?b", "a/b", false},
      {"[fg]oo", "goo", true},
      {"[!f]oo", "foo", false},
      {"[^f]oo", "zoo", true},
      {"[a-c]x", "bx", true},
      {"[a-c]x", "dx", false},
      {"[]]x", "]x", true},
      {"[[:digit:]]x", "4x", true},
      {"[[:digit:]]x", "ax", false},
      {"[a", "[a", false},
      {"\\#x", "#x", true},
      {"#x", "#x", false},
      {"\\!x", "!x", true},
      {"a\\*b", "a*b", true},
      {"a\\*b", "axb", false},
      {"a\\", "a\\", false},
      {"x ", "x", true},
      {"x\\ ", "x ", true},
      {"*", "anything", true},
      {"/*", "a", true},
      {"/", "a", false},
      {"", "", false},
      {"文*", "文档.md", true},
      {"a/", "a/b", false},
      {"**", "a/b", true},
      {"*a*b*c", "xaxbxc", true},
      {"*a*b*c", "xaxcxb", false},
      {"[\\]]", "]", true},
      {"[a-]", "-", true},
      {"[\\\\-^]", "]", true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.pattern, c.path);
    CHECK(matches(c.pattern, c.path, c.is_folder) == c.expected);
  }
}

TEST_CASE("ignore: the last matching pattern decides") {
  IgnoreRules rules;
  rules.add_file("*.md\r\n!keep.md\r\n# comment\n\nkeep.md.bak\n");
  CHECK(rules.judge("a.md", false) == IgnoreRules::Verdict::kIgnored);
  CHECK(rules.judge("keep.md", false) == IgnoreRules::Verdict::kKept);
  CHECK(rules.judge("b.txt", false) == IgnoreRules::Verdict::kNone);
}

TEST_CASE("ignore: a hostile pattern takes no longer than pattern times path") {
  std::string pattern, path(4000, 'a');
  for (int i = 0; i < 500; ++i) pattern += "*a";
  const Stopwatch watch;
  CHECK_FALSE(matches(pattern + "b", path));
  CHECK_FALSE(matches("**/a/**/a/**/a/**/a/**/b", path));
  CHECK(watch.seconds() < 1);
  CHECK_FALSE(matches(std::string(5000, '*'), "a"));
}

TEST_CASE("walk: regular files in order, with size and time") {
  const TempFolder folder;
  write(folder.path() / "b.txt", "12345");
  write(folder.path() / "a" / "z.md");
  write(folder.path() / "a.md");
  write(folder.path() / "中文" / "笔记.md");
  fs::create_directories(folder.path() / "empty");
  const FoundFiles found = find(folder.path());
  CHECK(names(found) == Names{"a.md", "a/z.md", "b.txt", "中文/笔记.md"});
  CHECK(found.warnings.empty());
  CHECK(found.files[2].size == 5);
  CHECK(found.files[2].mtime_ns > 1'500'000'000'000'000'000);
  CHECK(found.files[1].path == fs::canonical(folder.path()) / "a" / "z.md");
}

TEST_CASE("walk: hidden names are left out, unless named") {
  const TempFolder folder;
  for (const char* name : {".git/config", ".obsidian/app.json", ".trash/old.md", ".env", "note.md"})
    write(folder.path() / name);
  CHECK(names(find(folder.path())) == Names{"note.md"});
  CHECK(names(find(folder.path() / ".trash")) == Names{"old.md"});
  CHECK(names(find(folder.path() / ".env")) == Names{".env"});
}

TEST_CASE("walk: ignore files of every folder count, the nearest first") {
  const TempFolder folder;
  write(folder.path() / ".gitignore", "*.log\n/build/\n!important.log\ndrafts/*\n!drafts/good.md\n");
  write(folder.path() / "sub" / ".ignore", "!wanted.log\nsecret.md\n");
  for (const char* name :
       {"a.log", "important.log", "build/x.md", "sub/build/x.md", "sub/wanted.log", "sub/other.log",
        "sub/secret.md", "secret.md", "drafts/good.md", "drafts/bad.md", "build.md"})
    write(folder.path() / name);
  const FoundFiles found = find(folder.path());
  CHECK(names(found) == Names{"build.md", "drafts/good.md", "important.log", "secret.md", "sub/build/x.md",
                              "sub/wanted.log"});
  CHECK(found.n_ignored == 5);
  const std::vector<fs::path> roots{folder.path()};
  CHECK(find_files(roots, false, CancelToken()).files.size() == 11);
}

TEST_CASE("walk: a folder inside a repository obeys the repository's ignore files") {
  const TempFolder folder;
  fs::create_directories(folder.path() / ".git" / "info");
  write(folder.path() / ".git" / "info" / "exclude", "*.tmp\n");
  write(folder.path() / ".gitignore", "/sub/private/\n");
  for (const char* name : {"sub/private/x.md", "sub/a.tmp", "sub/a.md"}) write(folder.path() / name);
  CHECK(names(find(folder.path() / "sub")) == Names{"a.md"});
  // What is named itself is wanted.
  CHECK(names(find(folder.path() / "sub" / "private")) == Names{"x.md"});
}

TEST_CASE("walk: links are not followed, so loops do no harm") {
  const TempFolder folder, outside;
  write(outside.path() / "other.md");
  write(folder.path() / "a" / "note.md");
  fs::create_directory_symlink(folder.path(), folder.path() / "a" / "loop");
  fs::create_directory_symlink(outside.path(), folder.path() / "out");
  fs::create_symlink("note.md", folder.path() / "a" / "again.md");
  fs::create_symlink("nowhere", folder.path() / "dangling.md");
  fs::create_symlink("self", folder.path() / "self");
  const FoundFiles found = find(folder.path());
  CHECK(names(found) == Names{"a/note.md"});
  REQUIRE(found.warnings.size() == 1);
  CHECK(found.warnings[0].path.ends_with("/out"));
  // A root may be a link.
  CHECK(names(find(folder.path() / "out")) == Names{"other.md"});
}

TEST_CASE("walk: special files are left out and odd names kept") {
  const TempFolder folder;
  REQUIRE(::mkfifo((folder.path() / "pipe").c_str(), 0600) == 0);
  write(folder.path() / "two\nlines.md");
  write(folder.path() / "latin\xE9.md");
  CHECK(names(find(folder.path())) == Names{"latin\xE9.md", "two\nlines.md"});
}

TEST_CASE("walk: each file once where roots overlap") {
  const TempFolder folder;
  write(folder.path() / "a" / "note.md");
  write(folder.path() / "b.md");
  const std::vector<fs::path> roots{folder.path() / "a", folder.path(), folder.path() / "b.md"};
  const FoundFiles found = find_files(roots, true, CancelToken());
  REQUIRE(found.files.size() == 2);
  CHECK(found.files[0].root == 0);
  CHECK(found.files[0].relative == "note.md");
  CHECK(found.files[1].relative == "b.md");
}

TEST_CASE("walk: what cannot be read is warned about by name") {
  const TempFolder folder;
  write(folder.path() / "locked" / "a.md");
  write(folder.path() / "open" / "b.md");
  fs::permissions(folder.path(), fs::perms::all);
  fs::permissions(folder.path() / "locked", fs::perms::none);
  const bool is_root = ::geteuid() == 0;
  if (is_root) REQUIRE(::seteuid(65534) == 0);
  const FoundFiles found = find(folder.path());
  if (is_root) REQUIRE(::seteuid(0) == 0);
  fs::permissions(folder.path() / "locked", fs::perms::owner_all);
  CHECK(names(found) == Names{"open/b.md"});
  REQUIRE(found.warnings.size() == 1);
  CHECK(found.warnings[0].path.ends_with("/locked"));
  CHECK(found.warnings[0].reason.find("Permission denied") != std::string::npos);
}

TEST_CASE("walk: a root that is not there is an error, and so is a cancelled walk") {
  const TempFolder folder;
  try {
    find(folder.path() / "missing\nname");
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kNotFound);
    CHECK(std::string(error.what()).find("missing name: ") != std::string::npos);
  }
  const CancelToken cancel;
  cancel.cancel();
  const std::vector<fs::path> roots{folder.path()};
  CHECK_THROWS_AS(find_files(roots, true, cancel), Error);
}

TEST_CASE("walk: folders nested deeper than a path may be long are warned about") {
  const TempFolder folder;
  // Made step by step, since no path may name the deepest.
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  const std::string name(200, 'd');
  int depth = 0;
  for (; depth < 25; ++depth) {
    if (::mkdir(name.c_str(), 0700) != 0 || ::chdir(name.c_str()) != 0) break;
  }
  REQUIRE(depth == 25);
  const FoundFiles found = find(folder.path());
  fs::current_path(before);
  REQUIRE(found.warnings.size() == 1);
  CHECK(found.warnings[0].reason.find("too long") != std::string::npos);
}
