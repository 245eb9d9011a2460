// Hugging Face folders that are wrong in one place.
#include <algorithm>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using Catch::Contains;

namespace {

// A copy of a golden folder to spoil.
struct Folder {
  explicit Folder(const std::string& name = "qwen2_tied") {
    std::filesystem::copy(std::string(LECTERN_SOURCE_DIR) + "/tests/golden/" + name + "/folder", path);
  }
  void change(const char* file, const std::function<void(Json&)>& edit) const {
    Json json = parse_json(read_file(path / file, 1 << 20), file);
    edit(json);
    std::ofstream(path / file) << dump_json(json);
  }
  void set(const char* field, const Json& value) const {
    change("config.json", [&](Json& json) { json[field] = value; });
  }
  std::shared_ptr<const ModelFile> open() const { return ModelFile::open(path); }

  TempFolder temporary;
  std::filesystem::path path = temporary.path() / "Qwen2-tiny";
};

void check_refused(const char* field, const Json& value, const char* expected,
                   const char* model = "qwen2_tied") {
  const Folder folder(model);
  folder.set(field, value);
  CHECK_THROWS_WITH(folder.open(), Contains("config.json") && Contains(expected));
}

}  // namespace

TEST_CASE("a folder is named after itself, with or without a slash at the end") {
  const Folder folder;
  CHECK(folder.open()->config().name == "Qwen2-tiny");
  CHECK(ModelFile::open(folder.path.string() + "/")->config().name == "Qwen2-tiny");
}

TEST_CASE("config.json: other models and unknown variants are named") {
  check_refused("model_type", "llama", "'llama'");
  check_refused("model_type", nullptr, "type ''");
  check_refused("hidden_act", "gelu", "'hidden_act'");
  check_refused("use_sliding_window", true, "'use_sliding_window'");
  check_refused("quantization_config", {{"quant_method", "gptq"}}, "'quantization_config'");
  check_refused("rope_scaling", {{"type", "longrope"}}, "longrope");
  check_refused("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}, {"beta_fast", 16}}, "beta_fast");
  check_refused("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}, {"attention_factor", 1.0}},
                "attention_factor");
  check_refused("decoder_sparse_step", 2, "decoder_sparse_step", "qwen2moe_shared");
  check_refused("mlp_only_layers", {0}, "mlp_only_layers", "qwen2moe_shared");
}

TEST_CASE("config.json: fields that are missing, of another kind or absurd") {
  for (const char* field : {"hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                            "rms_norm_eps", "rope_theta", "max_position_embeddings", "intermediate_size"}) {
    check_refused(field, nullptr, field);
    check_refused(field, "7", field);
    check_refused(field, -1, field);
    check_refused(field, 1e300, field);
    check_refused(field, Json::array({1}), field);
  }
  check_refused("num_experts", 100'000, "num_experts", "qwen2moe_shared");
  check_refused("num_experts_per_tok", 7, "num_experts_per_tok", "qwen2moe_shared");
  check_refused("hidden_size", 1 << 30, "hidden_size");
  check_refused("tie_word_embeddings", "yes", "tie_word_embeddings");
}

TEST_CASE("a configuration of other sizes than the tensors' is refused") {
  const Folder folder;
  folder.set("hidden_size", 128);
  CHECK_THROWS_WITH(folder.open(), Contains("has the shape [288, 64]") && Contains("asks for [288, 128]"));
}

TEST_CASE("config.json: the newer way of writing rotary embeddings") {
  const Folder folder;
  folder.change("config.json", [](Json& json) {
    json.erase("rope_theta");
    json["rope_parameters"] = {{"rope_type", "yarn"}, {"rope_theta", 5e5}, {"factor", 2}};
  });
  const auto model = folder.open();
  CHECK(model->config().rope_theta == 5e5f);
  REQUIRE(model->config().rope_scaling);
  CHECK(model->config().rope_scaling->factor == 2.0f);
  CHECK(model->config().rope_scaling->original_max_position_embeddings == 256);
}

TEST_CASE(
    "config.json: YaRN's context is its factor times the original one whatever the model's limit says") {
  for (const int max_position_embeddings : {32768, 131072, 40000}) {
    const Folder folder;
    folder.change("config.json", [&](Json& json) {
      json["max_position_embeddings"] = max_position_embeddings;
      json["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
    });
    CHECK(folder.open()->config().context_tokens() == 131072);
  }
  const Folder absurd;
  absurd.set("rope_scaling",
             {{"type", "yarn"}, {"factor", 4096.0}, {"original_max_position_embeddings", 1 << 26}});
  CHECK(absurd.open()->config().context_tokens() == 1 << 26);
}

TEST_CASE("config.json: Dual Chunk Attention") {
  const Folder folder;
  folder.change("config.json", [](Json& json) {
    json["max_position_embeddings"] = 1'010'000;
    json["dual_chunk_attention_config"] = {
        {"chunk_size", 262144}, {"local_size", 8192}, {"original_max_position_embeddings", 262144}};
  });
  const auto model = folder.open();
  REQUIRE(model->config().dual_chunk_attention);
  CHECK(model->config().dual_chunk_attention->local_size == 8192);
  CHECK(model->config().context_tokens() == 1'010'000);
  CHECK_THROWS_WITH(ModelFile::open(model->path(), ContextExtension::kDualChunk), Contains("already"));

  check_refused("dual_chunk_attention_config", 7, "dual_chunk_attention_config");
  check_refused("dual_chunk_attention_config", {{"chunk_size", 64}}, "local_size");
  check_refused("dual_chunk_attention_config", {{"chunk_size", 0}, {"local_size", 1}}, "chunk_size");
  check_refused("dual_chunk_attention_config", {{"chunk_size", 64}, {"local_size", 65}}, "local_size");
  // Key chunks of no tokens, and of ones that are not whole pages.
  check_refused("dual_chunk_attention_config", {{"chunk_size", 256}, {"local_size", 256}}, "local_size");
  check_refused("dual_chunk_attention_config", {{"chunk_size", 256}, {"local_size", 100}}, "multiple of 128");
}

TEST_CASE("a model is extended by Dual Chunk Attention in the proportion of the 1M models") {
  const Folder folder;
  folder.set("max_position_embeddings", 32768);
  const auto open_extended = [&] {
    return ModelFile::open(folder.open()->path(), ContextExtension::kDualChunk);
  };
  const Qwen2Config config = open_extended()->config();
  REQUIRE(config.dual_chunk_attention);
  CHECK(config.dual_chunk_attention->chunk_size == 32768);
  CHECK(config.dual_chunk_attention->local_size == 1024);
  CHECK(config.dual_chunk_attention->original_max_position_embeddings == 32768);
  CHECK(config.context_tokens() == 1 << 20);
  folder.set("max_position_embeddings", 1000);
  CHECK_THROWS_WITH(open_extended(), Contains("1000 tokens"));
  folder.set("max_position_embeddings", 32768);
  folder.set("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}});
  CHECK_THROWS_WITH(open_extended(), Contains("YaRN"));
}

TEST_CASE("a tied model's own copy of the head is left alone") {
  const Folder folder("qwen2moe_shared");
  folder.set("tie_word_embeddings", true);
  CHECK(folder.open()->weights().lm_head.name == "model.embed_tokens.weight");
}

TEST_CASE("folders that lack a file say which") {
  for (const char* file : {"config.json", "tokenizer.json", "model-00002-of-00002.safetensors"}) {
    const Folder folder;
    std::filesystem::remove(folder.path / file);
    CHECK_THROWS_WITH(folder.open(), Contains(file));
  }
  const Folder folder;
  std::filesystem::remove(folder.path / "model.safetensors.index.json");
  CHECK_THROWS_WITH(folder.open(), Contains("holds no model.safetensors"));
  std::ofstream(folder.path / "pytorch_model.bin") << "x";
  CHECK_THROWS_WITH(folder.open(), Contains("pytorch_model.bin is not read"));
}

TEST_CASE("the index names files of its folder only, and tells where tensors are") {
  const char* index = "model.safetensors.index.json";
  auto map_norm_to = [&](const Json& file) {
    const Folder folder;
    folder.change(index, [&](Json& json) { json["weight_map"]["model.norm.weight"] = file; });
    folder.open();
  };
  for (const char* file : {"../model.safetensors", "/etc/model.safetensors", ".model.safetensors",
                           "model.bin", "", "a b.safetensors", "..safetensors"})
    CHECK_THROWS_WITH(map_norm_to(file), Contains(index) && Contains("model.norm.weight"));
  CHECK_THROWS_WITH(map_norm_to(1), Contains("model.norm.weight"));
  CHECK_THROWS_WITH(map_norm_to(Json::array()), Contains("model.norm.weight"));
  CHECK_THROWS_WITH(map_norm_to("other.safetensors"), Contains("other.safetensors"));

  const Folder folder;
  folder.change(index, [](Json& json) { json["weight_map"]["extra"] = "model-00001-of-00002.safetensors"; });
  CHECK_THROWS_WITH(folder.open(), Contains("'extra' is not in"));
  const Folder twice;
  std::filesystem::copy_file(twice.path / "model-00001-of-00002.safetensors", twice.path / "z.safetensors");
  twice.change(index, [](Json& json) { json["weight_map"]["model.norm.weight"] = "z.safetensors"; });
  CHECK_THROWS_WITH(twice.open(), Contains("is in another file as well"));
}

TEST_CASE("a vocabulary larger than the embedding is refused") {
  const Folder folder;
  folder.change("tokenizer.json", [](Json& json) {
    json["added_tokens"].push_back({{"id", 288}, {"content", "<|x|>"}, {"special", true}});
  });
  CHECK_THROWS_WITH(folder.open(), Contains("has 289 tokens, but config.json's vocab_size is 288"));
}

TEST_CASE("a safetensors file cut anywhere gives an error") {
  const Folder folder("qwen2moe_shared");
  const std::filesystem::path path = folder.path / "model.safetensors";
  for (size_t size = std::filesystem::file_size(path) - 1; size > 0; size -= std::min<size_t>(size, 997)) {
    std::filesystem::resize_file(path, size);
    CHECK_THROWS_AS(folder.open(), Error);
  }
}
