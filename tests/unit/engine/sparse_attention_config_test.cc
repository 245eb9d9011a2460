#include "engine/sparse_attention_config.h"

#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "engine/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using Catch::Contains;

namespace {

// 3 layers of 2 heads: what each of the tests spoils.
Qwen2Config config() {
  Qwen2Config c;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 2;
  return c;
}

Json budgets(int n_layers = 3, int n_heads = 2) {
  Json layers = Json::array();
  for (int l = 0; l < n_layers; ++l) {
    Json layer = Json::object();
    for (int h = 0; h < n_heads; ++h)
      layer[std::to_string(h)] = {"vertical_and_slash", 1000 + l, 6096 + h, 0.5};
    layers.push_back(layer);
  }
  return layers;
}

// A copy of a golden folder to add to.
struct Folder {
  Folder() {
    std::filesystem::copy(std::string(LECTERN_SOURCE_DIR) + "/tests/golden/qwen2_tied/folder", path);
  }
  void write(const char* file, const Json& json) const { std::ofstream(path / file) << dump_json(json); }
  Json config() const { return parse_json(read_file(path / "config.json", 1 << 20), "config.json"); }
  Qwen2Config open(const std::filesystem::path& sparse_config = {}) const {
    return ModelFile::open(path, ContextExtension::kNone, sparse_config)->config();
  }

  TempFolder temporary;
  std::filesystem::path path = temporary.path() / "Qwen2-tiny";
};

}  // namespace

TEST_CASE("sparse attention: budgets are read by layer and query head and written as they were") {
  const SparseAttention read = read_sparse_attention(budgets(), config(), "file");
  REQUIRE(read.size() == 3);
  CHECK(read[2] == std::vector<VerticalSlashBudget>{{1002, 6096}, {1002, 6097}});
  CHECK(read_sparse_attention(parse_json(sparse_attention_json(read, 0.9), "again"), config(), "again") ==
        read);
}

TEST_CASE("sparse attention: thirty columns are the first thirty only and stand for 130") {
  Json json = budgets();
  json[0]["1"][1] = 30;
  json[0]["1"][2] = 30;
  CHECK(read_sparse_attention(json, config(), "file")[0][1] == VerticalSlashBudget{130, 30});
}

TEST_CASE("sparse attention: what is wrong is named by file and layer and head") {
  const auto refused = [](const std::function<void(Json&)>& spoil, const char* place, const char* expected) {
    Json json = budgets();
    spoil(json);
    CHECK_THROWS_WITH(read_sparse_attention(json, config(), "budgets.json"),
                      Contains("budgets.json") && Contains(place) && Contains(expected));
    try {
      read_sparse_attention(json, config(), "budgets.json");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kCorrupt);
    }
  };
  refused([](Json& json) { json = 7; }, "no array", "3 layers");
  refused([](Json& json) { json = budgets(2); }, "2 layers", "3 layers");
  refused([](Json& json) { json = budgets(3, 3); }, "layer 0 has 3 heads", "2 query heads");
  refused([](Json& json) { json[1] = Json::array(); }, "layer 1 is no object", "2 query heads");
  const auto rename = [](Json& json) {
    const Json head = json[1]["1"];
    json[1].erase("1");
    json[1]["7"] = head;
  };
  refused(rename, "layer 1, head 1 is missing", "\"0\" to \"1\"");
  refused([](Json& json) { json[2]["0"][0] = "block_sparse"; }, "layer 2, head 0", "vertical_and_slash");
  const auto bad_head = [&](const Json& head) {
    refused([&](Json& json) { json[2]["1"] = head; }, "layer 2, head 1", "columns, diagonals, score");
  };
  bad_head(nullptr);
  bad_head({"vertical_and_slash", 1000, 6096});
  for (const Json& budget :
       {Json(0), Json(-1), Json(1.5), Json("1000"), Json(nullptr), Json(1 << 30), Json(1e300)}) {
    bad_head({"vertical_and_slash", budget, 6096, 1.0});
    bad_head({"vertical_and_slash", 1000, budget, 1.0});
  }
  bad_head({"vertical_and_slash", 1000, 6096, "high"});
}

TEST_CASE("sparse attention: budgets come with a folder and a file given by name wins") {
  const Folder folder;
  const Qwen2Config plain = folder.open();
  CHECK(plain.sparse_attention.empty());
  const int n_layers = plain.num_hidden_layers, n_heads = plain.num_attention_heads;

  Json in_config = folder.config();
  in_config["dual_chunk_attention_config"] = {
      {"chunk_size", 256}, {"local_size", 128}, {"sparse_attention_config", budgets(n_layers, n_heads)}};
  folder.write("config.json", in_config);
  CHECK(folder.open().sparse_attention.at(0).at(0) == VerticalSlashBudget{1000, 6096});

  Json json = budgets(n_layers, n_heads);
  json[0]["0"][1] = 2000;
  folder.write("sparse_attention_config.json", json);
  CHECK(folder.open().sparse_attention.at(0).at(0) == VerticalSlashBudget{2000, 6096});

  json[0]["0"][1] = 3000;
  folder.write("mine.json", json);
  CHECK(folder.open(folder.path / "mine.json").sparse_attention.at(0).at(0) ==
        VerticalSlashBudget{3000, 6096});
  // The model is fine: nobody is told to download it again.
  folder.write("mine.json", budgets(n_layers + 1, n_heads));
  CHECK_THROWS_WITH(folder.open(folder.path / "mine.json"), Contains("mine.json") && !Contains("download"));
  CHECK_THROWS_WITH(folder.open(folder.path / "none.json"), Contains("none.json"));

  folder.write("sparse_attention_config.json", budgets(n_layers + 1, n_heads));
  CHECK_THROWS_WITH(folder.open(), Contains("sparse_attention_config.json"));
  std::filesystem::remove(folder.path / "sparse_attention_config.json");
  in_config["dual_chunk_attention_config"]["sparse_attention_config"] = budgets(n_layers, n_heads + 1);
  folder.write("config.json", in_config);
  CHECK_THROWS_WITH(folder.open(), Contains("config.json") && Contains("layer 0"));
}
