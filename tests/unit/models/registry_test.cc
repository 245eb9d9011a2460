#include "models/registry.h"

#include <fstream>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/environment.h"
#include "tests/support/temp_folder.h"

using namespace lectern;

TEST_CASE(
    "the registry compiled in is whole: unique ids, a default, sources, and hashes for what pip gives") {
  std::set<std::string> ids;
  for (const ModelEntry& entry : registry()) {
    INFO(entry.id);
    CHECK(ids.insert(entry.id).second);
    CHECK(entry.context_length >= 32768);
    bool has_hub = false;
    for (const ModelSource& source : entry.sources) {
      if (source.kind != ModelSource::Kind::kPip) {
        has_hub = true;
        CHECK(source.repository.rfind("Qwen/", 0) == 0);
        continue;
      }
      REQUIRE(entry.files.size() == 1);
      CHECK(entry.files[0].bytes > 0);
      CHECK(entry.files[0].sha256.size() == 64);
      CHECK(source.repository.find("{n}") != std::string::npos);
      CHECK(source.member.find("{nn}") != std::string::npos);
    }
    CHECK(has_hub);
  }
  REQUIRE(find_model(default_model_id()) != nullptr);
  CHECK(find_model(default_model_id())->id == default_model_id());
}

TEST_CASE("models are found by id, by id without quantisation, in any case") {
  REQUIRE(find_model("qwen2.5-coder-1.5b-instruct") != nullptr);
  CHECK(find_model("qwen2.5-coder-1.5b-instruct")->id == "qwen2.5-coder-1.5b-instruct-q4_k_m");
  CHECK(find_model("Qwen2.5-Coder-1.5B-Instruct-Q4_K_M") == find_model("qwen2.5-coder-1.5b-instruct"));
  CHECK(find_model("gpt-5") == nullptr);
  CHECK(find_model("") == nullptr);
}

TEST_CASE(
    "a model is named by a path that exists or an id that is downloaded and else the error says what to do") {
  const TempFolder cache;
  const ScopedVariable xdg("XDG_CACHE_HOME", cache.path().string());
  const std::string id = "qwen2.5-coder-0.5b-instruct";

  CHECK_THROWS_WITH(resolve_model(id), Catch::Contains("lectern pull qwen2.5-coder-0.5b-instruct-q4_k_m"));
  CHECK_THROWS_WITH(resolve_model("/no/such/file.gguf"), Catch::Contains("/no/such/file.gguf"));
  CHECK_THROWS_AS(resolve_model(""), Error);

  std::filesystem::create_directories(models_folder());
  write_file_atomically(models_folder() / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "x");
  CHECK(resolve_model(id) == models_folder() / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");

  const auto own = cache.path() / "mine.gguf";
  write_file_atomically(own, "x");
  CHECK(resolve_model(own.string()) == own);
}

TEST_CASE("a split model is there when all its parts are") {
  const TempFolder cache;
  const ScopedVariable xdg("XDG_CACHE_HOME", cache.path().string());
  const ModelEntry& entry = *find_model("qwen2.5-7b-instruct");
  REQUIRE(entry.files.size() == 2);
  std::filesystem::create_directories(models_folder());
  write_file_atomically(model_file_path(entry, 0), "x");
  CHECK_FALSE(is_installed(entry));
  write_file_atomically(model_file_path(entry, 1), "x");
  CHECK(is_installed(entry));
  CHECK(model_path(entry) == model_file_path(entry, 0));
}

TEST_CASE("a bad registry is refused with the place of the fault") {
  const auto with = [](const std::string& entry) {
    return parse_registry("{\"models\": [" + entry + "]}", "r.json");
  };
  const std::string head =
      R"({"id": "a", "family": "f", "title": "t", "licence": "l", "context_length": 1, )";
  const std::string sources =
      R"("sources": [{"kind": "huggingface", "repository": "a/b", "revision": "main"}]})";

  CHECK(with(head + R"("files": [{"name": "a.gguf"}], )" + sources).size() == 1);
  CHECK_THROWS_WITH(with("{}"), Catch::Contains("r.json") && Catch::Contains("id"));
  CHECK_THROWS_WITH(with(head + R"("files": [{"name": "../a"}], )" + sources),
                    Catch::Contains("bad file name"));
  CHECK_THROWS_WITH(with(head + R"("files": [{"name": "a", "sha256": "1"}], )" + sources),
                    Catch::Contains("sha256"));
  CHECK_THROWS_WITH(with(head + R"("files": [], )" + sources), Catch::Contains("folder"));
  CHECK_THROWS_WITH(with(head + R"("files": [{"name": "a"}], "sources": []})"),
                    Catch::Contains("no sources"));
  const std::string good = head + R"("files": [{"name": "a.gguf"}], )" + sources;
  CHECK_THROWS_WITH(with(good + "," + good), Catch::Contains("twice"));
}
