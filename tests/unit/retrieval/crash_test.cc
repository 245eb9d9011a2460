// What a collection survives: being killed at any moment, a full disk, a folder that cannot be written.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <random>
#include <set>
#include <thread>
#include <tuple>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "retrieval/collection.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
namespace fs = std::filesystem;

namespace {

std::string random_text(std::mt19937& random, size_t n_words) {
  std::string text;
  for (size_t i = 0; i < n_words; ++i) {
    if (random() % 40 == 0) text += "\n\n";
    if (random() % 8 == 0)
      text += "机器学习" + std::string(random() % 2 == 0 ? "模型" : "文档");
    else
      text += "word" + std::to_string(random() % (1 + random() % 400));
    text += ' ';
  }
  return text;
}

void write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

void make_notes(const fs::path& folder, std::mt19937& random, int n) {
  fs::create_directories(folder);
  for (int i = 0; i < n; ++i)
    write(folder / (std::to_string(1000 + i) + ".txt"), random_text(random, 100 + random() % 400));
}

void index(const fs::path& database, const fs::path& folder) {
  IndexOptions options;
  options.batch_bytes = 20'000;  // many transactions and merges
  const std::vector<fs::path> roots = {folder};
  Collection::open(database)->index(roots, options, {}, CancelToken());
}

// Starts indexing in a process of its own.
pid_t start_indexing(const fs::path& database, const fs::path& folder) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    index(database, folder);
  } catch (const std::exception&) {
    ::_exit(1);
  }
  ::_exit(0);
}

std::set<std::string> documents(const Collection& collection) {
  std::set<std::string> result;
  for (const DocumentInfo& info : collection.documents()) result.insert(info.path + " " + info.hash);
  return result;
}

// Everything searches say, whatever the order of equals.
using Answers = std::set<std::tuple<std::string, double, std::string, int>>;
Answers answers(const Collection& collection) {
  Answers result;
  for (const char* query :
       {"word1", "word17 word3 模型", "机器学习文档", "word2 word5 word9 word40 word77 word123"}) {
    SearchRequest request;
    request.queries = {{query, 1.0}};
    request.limit = 1'000'000;
    for (const SearchHit& hit : collection.search(request))
      result.emplace(query, hit.score, hit.passage.path, hit.passage.chunk.ordinal);
  }
  return result;
}

// What the documents will be when all is indexed.
std::set<std::string> documents_on_disk(const fs::path& folder) {
  std::set<std::string> result;
  for (const auto& entry : fs::directory_iterator(folder))
    result.insert(entry.path().filename().string() + " " + sha256_hex(read_file(entry.path(), 1 << 20)));
  return result;
}

// Kills the indexing of `folder` after `delay` seconds and checks what is left. Was it still at work?
bool kill_and_check(const fs::path& database, const fs::path& folder, double delay) {
  const pid_t child = start_indexing(database, folder);
  REQUIRE(child > 0);
  const Stopwatch watch;
  while (watch.seconds() < delay) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // What another process sees just before the kill has been committed. (Documents of before may still go.)
  std::set<std::string> committed;
  if (fs::exists(database)) {
    try {
      committed = documents(*Collection::open(database));
    } catch (const Error& error) {
      REQUIRE(error.code() == ErrorCode::kUnavailable);  // just being made
    }
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE((WIFSIGNALED(status) || WEXITSTATUS(status) == 0));

  const auto collection = Collection::open(database);
  collection->verify();
  const auto left = documents(*collection);
  for (const std::string& document : documents_on_disk(folder))
    if (committed.contains(document)) CHECK(left.contains(document));
  return WIFSIGNALED(status);
}

void check_equals_rebuild(const fs::path& database, const fs::path& folder, const fs::path& scratch) {
  index(database, folder);
  const auto continued = Collection::open(database);
  continued->verify();
  fs::remove(scratch);
  index(scratch, folder);
  const auto rebuilt = Collection::open(scratch);
  CHECK(documents(*continued) == documents(*rebuilt));
  CHECK(continued->stats().n_chunks == rebuilt->stats().n_chunks);
  CHECK(continued->stats().text_bytes == rebuilt->stats().text_bytes);
  const Answers found = answers(*continued);
  CHECK(found.size() > 100);
  CHECK(found == answers(*rebuilt));
}

}  // namespace

TEST_CASE("indexing killed at 50 random moments loses nothing committed and ends equal to a rebuild") {
  std::mt19937 random(20240501);
  TempFolder folder;
  const fs::path notes = folder.path() / "notes", scratch = folder.path() / "rebuilt.db";
  make_notes(notes, random, 60);
  const Stopwatch watch;
  index(scratch, notes);
  const double full = watch.seconds();
  std::uniform_real_distribution<double> moment(0, full);
  fs::path database;
  int n_killed = 0, n_tries = 0;
  for (; n_killed < 50 && n_tries < 400; ++n_tries) {
    const bool from_nothing = n_tries % 5 == 0;
    if (from_nothing) {
      database = folder.path() / ("killed" + std::to_string(n_tries) + ".db");
    } else {  // what was killed goes on, with files changed meanwhile
      for (int i = 0; i < 12; ++i) {
        const fs::path file = notes / (std::to_string(1000 + random() % 80) + ".txt");
        const uint32_t what = random() % 4;
        if (what == 0)
          fs::remove(file);
        else if (what == 1 && fs::exists(file))
          fs::rename(file, notes / (std::to_string(2000 + random() % 1000) + ".txt"));
        else
          write(file, random_text(random, 100 + random() % 400));
      }
    }
    INFO("try " << n_tries);
    n_killed += kill_and_check(database, notes, moment(random) * (from_nothing ? 1.0 : 0.3));
    if (n_tries % 5 == 4) check_equals_rebuild(database, notes, scratch);
  }
  check_equals_rebuild(database, notes, scratch);
  CHECK(n_killed == 50);  // the others had just finished
}

TEST_CASE("a full disk is one clear error and leaves the collection as it was") {
  std::mt19937 random(5);
  TempFolder folder;
  const fs::path notes = folder.path() / "notes", database = folder.path() / "c.db";
  make_notes(notes, random, 5);
  index(database, notes);
  const auto before = documents(*Collection::open(database));
  make_notes(notes, random, 60);

  // Writes beyond the limit fail as on a full disk.
  for (const rlim_t limit : {rlim_t{60'000}, rlim_t{150'000}, rlim_t{400'000}}) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit small = {limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &small);
      try {
        index(database, notes);
      } catch (const Error& error) {
        const bool clear = error.code() == ErrorCode::kResourceExhausted &&
                           std::string(error.what()).find("c.db") != std::string::npos;
        if (!clear) std::fprintf(stderr, "%s\n", error.what());
        ::_exit(clear ? 42 : 43);
      } catch (...) {
        ::_exit(44);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 42);
    const auto collection = Collection::open(database);
    collection->verify();
    CHECK(!documents(*collection).empty());
  }
  check_equals_rebuild(database, notes, folder.path() / "rebuilt.db");
  CHECK(before.size() == 5);
}

namespace {

// Runs `check` in a process that is not root, so that permissions count; was it true?
bool as_nobody(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(3);
    try {
      ::_exit(check() ? 0 : 1);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool fails_with(ErrorCode code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() == code;
  }
  return false;
}

void give_to_nobody(const fs::path& path) {
  if (::geteuid() == 0) REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
}

}  // namespace

TEST_CASE("a collection in a folder that cannot be written is read, and writing says why not") {
  std::mt19937 random(6);
  TempFolder folder;
  ::chmod(folder.path().c_str(), 0755);
  const fs::path notes = folder.path() / "notes", place = folder.path() / "place";
  make_notes(notes, random, 5);
  fs::create_directory(place);
  index(place / "c.db", notes);
  ::chmod((place / "c.db").c_str(), 0444);
  ::chmod(place.c_str(), 0555);
  CHECK(as_nobody([&] {
    const auto collection = Collection::open(place / "c.db");
    return documents(*collection).size() == 5 && !answers(*collection).empty() &&
           fails_with(ErrorCode::kIo, [&] { collection->remove("1000.txt"); });
  }));
  CHECK(as_nobody([&] { return fails_with(ErrorCode::kIo, [&] { Collection::open(place / "new.db"); }); }));
  ::chmod(place.c_str(), 0755);
}

TEST_CASE("files that may not be read are warned about and tried again") {
  std::mt19937 random(6);
  TempFolder folder;
  const fs::path notes = folder.path() / "notes", database = folder.path() / "c.db";
  make_notes(notes, random, 3);
  for (const auto& entry : fs::directory_iterator(notes)) give_to_nobody(entry.path());
  give_to_nobody(folder.path());
  give_to_nobody(notes);
  CHECK(as_nobody([&] {
    const auto collection = Collection::open(database);
    const std::vector<fs::path> roots = {notes};
    const auto run = [&] { return collection->index(roots, {}, {}, CancelToken()); };
    ::chmod((notes / "1001.txt").c_str(), 0);
    const IndexReport first = run();
    const bool again = run().warnings.size() == 1;
    ::chmod((notes / "1001.txt").c_str(), 0644);
    const IndexReport last = run();
    return first.added == 2 && first.warnings.size() == 1 && again && last.added == 1 &&
           last.warnings.empty();
  }));
}

TEST_CASE("while another process writes, writing is refused and reading is not") {
  std::mt19937 random(7);
  TempFolder folder;
  const fs::path notes = folder.path() / "notes", database = folder.path() / "c.db";
  make_notes(notes, random, 3);
  index(database, notes);
  const int lock = ::open((database.string() + ".lock").c_str(), O_RDWR);
  REQUIRE(lock >= 0);
  REQUIRE(::flock(lock, LOCK_EX) == 0);  // as another process holds it
  const auto collection = Collection::open(database);
  CHECK(documents(*collection).size() == 3);
  try {
    collection->remove("1000.txt");
    FAIL("was written");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUnavailable);
  }
  ::close(lock);
  CHECK(collection->remove("1000.txt") == 1);
}
