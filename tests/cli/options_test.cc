#include "apps/cli/options.h"

#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/environment.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::cli;
namespace fs = std::filesystem;

namespace {

// A project folder that is the current one, and a settings folder of its own.
struct Project {
  TempFolder folder;
  fs::path before = fs::current_path();
  fs::path deep = folder.path() / "project" / "deep" / "down";
  ScopedVariable config{"XDG_CONFIG_HOME", (folder.path() / "config").string()};
  ScopedVariable model{"LECTERN_MODEL", ""};
  ScopedVariable threads{"LECTERN_THREADS", ""};
  ScopedVariable kv{"LECTERN_KV", ""};
  ScopedVariable max_context{"LECTERN_MAX_CONTEXT", ""};
  ScopedVariable kept{"LECTERN_KEPT_GB", ""};
  ScopedVariable collection{"LECTERN_COLLECTION", ""};
  ScopedVariable llm{"LECTERN_LLM", ""};
  ScopedVariable llm_model{"LECTERN_LLM_MODEL", ""};
  ScopedVariable llm_context{"LECTERN_LLM_CONTEXT", ""};

  Project() {
    fs::create_directories(deep);
    fs::create_directories(folder.path() / "config" / "lectern");
    fs::current_path(deep);
  }
  ~Project() { fs::current_path(before); }

  fs::path project_file() const { return folder.path() / "project" / ".lectern.json"; }
  fs::path user_file() const { return folder.path() / "config" / "lectern" / "config.json"; }
};

SharedOptions completed(SharedOptions options = {}) {
  complete_options(options);
  return options;
}

}  // namespace

TEST_CASE("a flag wins over the environment over the project over the user") {
  const Project project;
  CHECK(completed().model.empty());
  write_file_atomically(project.user_file(), R"({"model": "user", "threads": 1, "kv": "int8"})");
  CHECK(completed().model == "user");
  CHECK(completed().kv == "int8");
  write_file_atomically(project.project_file(), R"({"model": "project"})");
  CHECK(completed().model == "project");
  CHECK(completed().threads == 1);
  const ScopedVariable model("LECTERN_MODEL", "environment");
  const ScopedVariable threads("LECTERN_THREADS", "7");
  const ScopedVariable kv("LECTERN_KV", "f16");
  CHECK(completed().model == "environment");
  CHECK(completed().threads == 7);
  CHECK(completed().kv == "f16");
  SharedOptions flags;
  flags.model = "flag";
  flags.threads = 9;
  CHECK(completed(flags).model == "flag");
  CHECK(completed(flags).threads == 9);
}

TEST_CASE("limits of the context and of kept texts come from flag and environment and files") {
  const Project project;
  CHECK(completed().max_context == 0);
  CHECK_FALSE(completed().kept_gb);
  write_file_atomically(project.user_file(), R"({"max_context": 40000, "kept_gb": 2.5})");
  CHECK(completed().max_context == 40000);
  CHECK(completed().kept_gb == 2.5);
  write_file_atomically(project.project_file(), R"({"kept_gb": 0})");
  CHECK(completed().kept_gb == 0.0);
  const ScopedVariable context("LECTERN_MAX_CONTEXT", "50000");
  const ScopedVariable kept("LECTERN_KEPT_GB", "1.5");
  CHECK(completed().max_context == 50000);
  CHECK(completed().kept_gb == 1.5);
  SharedOptions flags;
  flags.max_context = 60000;
  flags.kept_gb = 0;
  CHECK(completed(flags).max_context == 60000);
  CHECK(completed(flags).kept_gb == 0.0);
}

TEST_CASE("a collection named in a settings file is relative to that file") {
  const Project project;
  write_file_atomically(project.project_file(), R"({"collection": "notes.db"})");
  CHECK(completed().collection == (project.folder.path() / "project" / "notes.db").string());
}

TEST_CASE("a server is chosen by the user, never by a project") {
  const Project project;
  write_file_atomically(
      project.user_file(),
      R"({"llm": "http://h/v1", "llm_model": "m", "llm_key_file": "key", "llm_context": 4096})");
  CHECK(completed().llm == "http://h/v1");
  CHECK(completed().llm_model == "m");
  CHECK(completed().llm_key_file == (project.user_file().parent_path() / "key").string());
  CHECK(completed().llm_context == 4096);
  const ScopedVariable llm("LECTERN_LLM", "http://e/v1");
  const ScopedVariable context("LECTERN_LLM_CONTEXT", "8192");
  CHECK(completed().llm == "http://e/v1");
  CHECK(completed().llm_context == 8192);
  SharedOptions local;
  local.model = "x.gguf";
  CHECK(completed(local).llm.empty());
  local.llm = "http://f/v1";
  CHECK_THROWS_WITH(completed(local), Catch::Contains("--llm"));
  write_file_atomically(project.project_file(), R"({"llm": "http://evil/v1"})");
  CHECK_THROWS_WITH(completed(), Catch::Contains(".lectern.json") && Catch::Contains("llm"));
}

TEST_CASE("a bad settings file or variable is named with its key") {
  const Project project;
  SECTION("not JSON") {
    write_file_atomically(project.project_file(), "{");
    CHECK_THROWS_WITH(completed(), Catch::Contains(".lectern.json"));
  }
  SECTION("no object") {
    write_file_atomically(project.user_file(), "[]");
    CHECK_THROWS_WITH(completed(), Catch::Contains("config.json"));
  }
  SECTION("unknown key") {
    write_file_atomically(project.user_file(), R"({"modell": "x"})");
    CHECK_THROWS_WITH(completed(), Catch::Contains("modell"));
  }
  SECTION("wrong type") {
    write_file_atomically(project.user_file(), R"({"threads": "two"})");
    CHECK_THROWS_WITH(completed(), Catch::Contains("threads"));
  }
  SECTION("absurd number") {
    write_file_atomically(project.user_file(), R"({"threads": -1})");
    CHECK_THROWS_WITH(completed(), Catch::Contains("threads"));
  }
  SECTION("unknown kind of KV cache") {
    write_file_atomically(project.user_file(), R"({"kv": "int4"})");
    CHECK_THROWS_WITH(completed(), Catch::Contains("f16 or int8"));
    const ScopedVariable kv("LECTERN_KV", "fp8");
    CHECK_THROWS_WITH(completed(), Catch::Contains("LECTERN_KV=fp8"));
  }
  SECTION("variable") {
    const ScopedVariable threads("LECTERN_THREADS", "many");
    CHECK_THROWS_WITH(completed(), Catch::Contains("LECTERN_THREADS=many"));
  }
}
