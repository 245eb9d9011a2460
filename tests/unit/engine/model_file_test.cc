// What ModelFile makes of whole models: right values from the golden ones, clear refusals of the others.
#include "engine/model_file.h"

#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "kernels/reference/dequantize.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::gguf;
using Catch::Contains;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(LECTERN_SOURCE_DIR) / "tests/golden";

std::shared_ptr<const ModelFile> open_changed(const std::function<void(Builder&)>& change,
                                              Builder builder = tiny_qwen2()) {
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "model.gguf";
  change(builder);
  write_file_atomically(path, builder.bytes());
  return ModelFile::open(path);
}

std::vector<float> values(const Matrix& matrix) {
  std::vector<float> out(static_cast<size_t>(matrix.rows) * static_cast<size_t>(matrix.cols));
  if (!out.empty())
    dequantize(matrix.dtype, matrix.data.data(), static_cast<int64_t>(out.size()), out.data());
  return out;
}

bool same(const Matrix& a, const Matrix& b) {
  return a.rows == b.rows && a.cols == b.cols && values(a) == values(b);
}
bool same(const MlpWeights& a, const MlpWeights& b) {
  return same(a.gate_proj, b.gate_proj) && same(a.up_proj, b.up_proj) && same(a.down_proj, b.down_proj);
}

void check_same_layer(const LayerWeights& a, const LayerWeights& b) {
  CHECK(a.input_layernorm == b.input_layernorm);
  CHECK(a.post_attention_layernorm == b.post_attention_layernorm);
  CHECK(same(a.q_proj, b.q_proj));
  CHECK(same(a.k_proj, b.k_proj));
  CHECK(same(a.v_proj, b.v_proj));
  CHECK(same(a.o_proj, b.o_proj));
  CHECK(a.q_bias == b.q_bias);
  CHECK(a.k_bias == b.k_bias);
  CHECK(a.v_bias == b.v_bias);
  CHECK(same(a.mlp, b.mlp));
  CHECK(same(a.moe.router, b.moe.router));
  REQUIRE(a.moe.experts.size() == b.moe.experts.size());
  for (size_t e = 0; e < a.moe.experts.size(); ++e) CHECK(same(a.moe.experts[e], b.moe.experts[e]));
  CHECK(same(a.moe.shared_expert, b.moe.shared_expert));
  CHECK(a.moe.shared_expert_gate == b.moe.shared_expert_gate);
}

void check_same_config(const Qwen2Config& a, const Qwen2Config& b) {
  CHECK(a.architecture == b.architecture);
  CHECK(a.hidden_size == b.hidden_size);
  CHECK(a.num_hidden_layers == b.num_hidden_layers);
  CHECK(a.num_attention_heads == b.num_attention_heads);
  CHECK(a.num_key_value_heads == b.num_key_value_heads);
  CHECK(a.head_dim == b.head_dim);
  CHECK(a.vocab_size == b.vocab_size);
  CHECK(a.rms_norm_eps == b.rms_norm_eps);
  CHECK(a.rope_theta == b.rope_theta);
  CHECK(a.max_position_embeddings == b.max_position_embeddings);
  CHECK(a.tie_word_embeddings == b.tie_word_embeddings);
  CHECK(a.num_experts == b.num_experts);
  CHECK(a.num_experts_per_tok == b.num_experts_per_tok);
  CHECK(a.moe_intermediate_size == b.moe_intermediate_size);
  CHECK(a.shared_expert_intermediate_size == b.shared_expert_intermediate_size);
  CHECK(a.norm_topk_prob == b.norm_topk_prob);
}

}  // namespace

TEST_CASE("the same model as a GGUF file and as a folder reads the same") {
  const std::string name = GENERATE("qwen2_tied", "qwen2moe_shared");
  const auto file = ModelFile::open(kGolden / name / "model.gguf");
  const auto folder = ModelFile::open(kGolden / name / "folder");
  check_same_config(file->config(), folder->config());
  CHECK(same(file->weights().embed_tokens, folder->weights().embed_tokens));
  CHECK(same(file->weights().lm_head, folder->weights().lm_head));
  CHECK(file->weights().norm == folder->weights().norm);
  REQUIRE(file->weights().layers.size() == folder->weights().layers.size());
  for (size_t i = 0; i < file->weights().layers.size(); ++i)
    check_same_layer(file->weights().layers[i], folder->weights().layers[i]);

  // The file has a token for every row of the embedding, the folder only for those in use.
  const Vocabulary &a = file->vocabulary(), &b = folder->vocabulary();
  CHECK(a.merges == b.merges);
  REQUIRE(b.tokens.size() == 281);
  for (size_t id = 0; id < a.tokens.size(); ++id) {
    CHECK((id < b.tokens.size() ? a.tokens[id] == b.tokens[id]
                                : a.types[id] == Vocabulary::TokenType::kUnused));
    if (id < b.tokens.size()) CHECK(a.types[id] == b.types[id]);
  }
  CHECK(folder->config().name == "folder");
  CHECK(file->quantisation() == folder->quantisation());
}

TEST_CASE("golden models: shapes and types are those they were made with") {
  const auto yarn = ModelFile::open(kGolden / "qwen2_yarn/model.gguf");
  REQUIRE(yarn->config().rope_scaling);
  CHECK(yarn->config().rope_scaling->factor == 8.0f);
  CHECK(yarn->config().rope_scaling->original_max_position_embeddings == 32);
  CHECK(yarn->config().head_dim == 64);
  CHECK(yarn->quantisation() == "BF16");

  const auto wide = ModelFile::open(kGolden / "qwen2_untied/model.gguf");
  CHECK(wide->config().q_size() == 224);
  CHECK(wide->config().group_size() == 7);
  CHECK(wide->config().rms_norm_eps == 1e-5f);
  CHECK_FALSE(wide->config().tie_word_embeddings);
  CHECK(wide->weights().lm_head.name == "output.weight");

  const auto experts = ModelFile::open(kGolden / "qwen2moe_tied/model.gguf");
  CHECK(experts->config().num_experts == 5);
  CHECK(experts->config().shared_expert_intermediate_size == 0);
  CHECK(experts->weights().layers[1].moe.experts.size() == 5);
  CHECK(experts->weights().layers[1].moe.shared_expert.gate_proj.empty());
  CHECK(experts->weights().lm_head.data.data() == experts->weights().embed_tokens.data.data());

  const auto mixed = ModelFile::open(kGolden / "qwen2_k_quants/model.gguf");
  CHECK(mixed->weights().layers[0].k_proj.dtype == DType::kQ5_K);
  CHECK(mixed->weights().layers[0].mlp.up_proj.dtype == DType::kIQ4_XS);
  CHECK(mixed->file_bytes() == std::filesystem::file_size(kGolden / "qwen2_k_quants/model.gguf"));
  for (const LayerWeights& layer : mixed->weights().layers) mixed->release_pages(layer.q_proj.data);
  CHECK(std::isfinite(values(mixed->weights().layers[0].q_proj)[0]));  // still there after its pages went
}

TEST_CASE("models of other kinds are named") {
  auto error_of = [](const char* key, const std::string& value) {
    return [=] { open_changed([&](Builder& b) { b.set(key, value); }); };
  };
  CHECK_THROWS_WITH(error_of("general.architecture", str("llama"))(),
                    Contains("architecture 'llama'") && Contains("'qwen2'") && Contains("'qwen2moe'"));
  CHECK_THROWS_WITH(error_of("tokenizer.ggml.model", str("llama"))(),
                    Contains("'tokenizer.ggml.model' is 'llama'"));
  CHECK_THROWS_WITH(error_of("tokenizer.ggml.pre", str("llama-bpe"))(), Contains("'llama-bpe'"));
  CHECK_THROWS_WITH(error_of("qwen2.rope.scaling.type", str("longrope"))(), Contains("'longrope'"));
  CHECK_THROWS_WITH(open_changed([](Builder& b) { b.tensor("blk.0.attn_q_norm.weight"); }),
                    Contains("'blk.0.attn_q_norm.weight' has no place in a Qwen2 model"));
  CHECK_THROWS_WITH(open_changed([](Builder& b) { b.tensor("blk.1.attn_norm.weight").dims = {8}; }),
                    Contains("'blk.1.attn_norm.weight' has no place"));
}

TEST_CASE("every key and tensor that a model needs is missed by name") {
  for (const char* key :
       {"general.architecture", "qwen2.block_count", "qwen2.context_length", "qwen2.embedding_length",
        "qwen2.feed_forward_length", "qwen2.attention.head_count", "qwen2.attention.layer_norm_rms_epsilon",
        "qwen2.rope.freq_base", "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges"})
    CHECK_THROWS_WITH(open_changed([&](Builder& b) { b.erase(key); }),
                      Contains(key) && Contains("is missing"));
  for (const Tensor& tensor : tiny_qwen2().tensors) {
    if (tensor.name == "output.weight" || tensor.name == "token_embd.weight") continue;
    CHECK_THROWS_WITH(open_changed([&](Builder& b) { b.erase_tensor(tensor.name); }),
                      Contains("'" + tensor.name + "' is missing"));
  }
  CHECK_THROWS_WITH(open_changed([](Builder& b) { b.erase_tensor("token_embd.weight"); }),
                    Contains("vocab_size is 0"));
  CHECK(open_changed([](Builder& b) { b.erase_tensor("output.weight"); })->config().tie_word_embeddings);
}

TEST_CASE("sizes that cannot be are refused, by the name of the field") {
  auto error_of = [](const char* key, const std::string& value, const char* field) {
    CHECK_THROWS_WITH(open_changed([&](Builder& b) { b.set(key, value); }), Contains(field));
  };
  const uint32_t absurd = GENERATE(0u, 0x7fffffffu, 0xffffffffu);
  error_of("qwen2.block_count", u32(absurd), absurd > INT32_MAX ? "block_count" : "num_hidden_layers");
  error_of("qwen2.embedding_length", u32(absurd), absurd > INT32_MAX ? "embedding_length" : "hidden_size");
  error_of("qwen2.attention.head_count", u32(absurd),
           absurd > INT32_MAX ? "head_count" : "num_attention_heads");
  error_of("qwen2.attention.head_count_kv", u32(absurd),
           absurd > INT32_MAX ? "head_count_kv" : "num_key_value_heads");
  error_of("qwen2.feed_forward_length", u32(absurd),
           absurd > INT32_MAX ? "feed_forward_length" : "intermediate_size");
  error_of("qwen2.context_length", u32(absurd),
           absurd > INT32_MAX ? "context_length" : "max_position_embeddings");
  error_of("qwen2.attention.key_length", u32(absurd), absurd > INT32_MAX ? "key_length" : "head_dim");
  error_of("qwen2.vocab_size", u32(absurd), "vocab_size");
  error_of("qwen2.attention.value_length", u32(absurd), "value_length");
  error_of("qwen2.rope.dimension_count", u32(absurd), "dimension_count");
}

TEST_CASE("the context is what the model was made for and Lectern runs") {
  const auto config_of = [](uint32_t context_length, std::optional<float> yarn_factor) {
    return open_changed([&](Builder& b) {
             b.set("qwen2.context_length", u32(context_length));
             if (!yarn_factor) return;
             b.set("qwen2.rope.scaling.type", str("yarn"))
                 .set("qwen2.rope.scaling.factor", f32(*yarn_factor));
             b.set("qwen2.rope.scaling.original_context_length", u32(32768));
           })
        ->config();
  };
  CHECK(config_of(32768, {}).context_tokens() == 32768);
  CHECK(config_of(262144, {}).context_tokens() == 262144);
  CHECK(config_of(32768, 4.0f).context_tokens() == 131072);
  CHECK(config_of(131072, 4.0f).context_tokens() == 131072);
  // The 1M models, whose settings of Dual Chunk Attention no key of GGUF holds.
  CHECK(config_of(1'010'000, {}).context_tokens() == 1'010'000);
  REQUIRE(config_of(1'010'000, {}).dual_chunk_attention);
  CHECK(config_of(1'010'000, {}).dual_chunk_attention->chunk_size == 262144);
}

TEST_CASE("numbers that would poison the arithmetic are refused") {
  const float bad =
      GENERATE(-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f);
  CHECK_THROWS_WITH(
      open_changed([&](Builder& b) { b.set("qwen2.attention.layer_norm_rms_epsilon", f32(bad)); }),
      Contains("rms_norm_eps"));
  CHECK_THROWS_WITH(open_changed([&](Builder& b) { b.set("qwen2.rope.freq_base", f32(bad)); }),
                    Contains("rope_theta"));
  CHECK_THROWS_WITH(
      open_changed([&](Builder& b) {
        b.set("qwen2.rope.scaling.type", str("yarn")).set("qwen2.rope.scaling.factor", f32(bad));
        b.set("qwen2.rope.scaling.original_context_length", u32(32));
      }),
      Contains("rope_scaling.factor"));
  CHECK_THROWS_WITH(open_changed([&](Builder& b) {
                      b.set("qwen2.rope.scaling.type", str("yarn")).set("qwen2.rope.scaling.factor", f32(4));
                      b.set("qwen2.rope.scaling.original_context_length", u32(32));
                      b.set("qwen2.rope.scaling.yarn_beta_fast", f32(bad));
                    }),
                    Contains("yarn_beta_fast"));
}

TEST_CASE("tensors of another shape than the configuration's are refused") {
  for (const Tensor& tensor : tiny_qwen2().tensors) {
    if (tensor.name == "token_embd.weight") continue;
    CHECK_THROWS_WITH(open_changed([&](Builder& b) { b.tensor(tensor.name).dims.back() += 1; }),
                      Contains("'" + tensor.name + "' has the shape"));
    CHECK_THROWS_WITH(open_changed([&](Builder& b) {
                        b.tensor(tensor.name).dims.insert(b.tensor(tensor.name).dims.begin(), 3);
                      }),
                      Contains("'" + tensor.name + "' has the shape"));
  }
  CHECK_THROWS_WITH(open_changed([](Builder& b) { b.set("qwen2.embedding_length", u32(16)); }),
                    Contains("has the shape"));
  CHECK_THROWS_WITH(open_changed([](Builder& b) { b.set("qwen2.block_count", u32(2)); }), Contains("blk.1."));
}

TEST_CASE("vocabularies that do not hold together are refused") {
  auto error_of = [](const char* key, const std::string& value, const char* expected) {
    CHECK_THROWS_WITH(open_changed([&](Builder& b) { b.set(key, value); }), Contains(expected));
  };
  error_of("tokenizer.ggml.tokens", strings({"a", "b", "c", "d", "e", "f", "g"}),
           "has 7 tokens, but the embedding has 6");
  error_of("tokenizer.ggml.tokens", strings({}), "has 0 tokens");
  error_of("tokenizer.ggml.tokens", strings({"a"}), "6 entries for 1 tokens");
  error_of("tokenizer.ggml.tokens", u32(6), "holds uint32");
  error_of("tokenizer.ggml.token_type", i32s({1, 1, 1, 3, 4, 77}), "token 5 the type 77");
  error_of("tokenizer.ggml.token_type", i32s({1, 1, 1, 3, 4, -1}), "token 5 the type -1");
  for (const char* merge : {"", "ab", " b", "a ", "a b c", "a  b"})
    error_of("tokenizer.ggml.merges", strings({"a b", merge}), "merge 1 is");
}

TEST_CASE("token types: text, control, added, padding") {
  using Type = Vocabulary::TokenType;
  const auto model = open_changed([](Builder&) {});
  CHECK(model->vocabulary().types == std::vector<Type>{Type::kNormal, Type::kNormal, Type::kNormal,
                                                       Type::kControl, Type::kAdded, Type::kUnused});
}

namespace {

// The tiny model in two files: the second holds the layer's feed-forward block.
void write_split(const std::filesystem::path& folder, const std::function<void(Builder&, Builder&)>& change) {
  Builder first = tiny_qwen2(), second;
  for (const Tensor& tensor : first.tensors)
    if (tensor.name.find("ffn_") != std::string::npos) second.tensors.push_back(tensor);
  for (const Tensor& tensor : second.tensors) first.erase_tensor(tensor.name);
  const auto u16 = [](uint16_t value) { return raw<uint32_t>(2) + raw(value); };
  for (Builder* part : {&first, &second}) part->set("split.count", u16(2));
  first.set("split.no", u16(0)).set("split.tensors.count", raw<uint32_t>(5) + raw<int32_t>(15));
  second.set("split.no", u16(1));
  change(first, second);
  write_file_atomically(folder / "tiny-00001-of-00002.gguf", first.bytes());
  write_file_atomically(folder / "tiny-00002-of-00002.gguf", second.bytes());
}

}  // namespace

TEST_CASE("split models open by their first part and are checked for belonging together") {
  const TempFolder folder;
  const std::filesystem::path first = folder.path() / "tiny-00001-of-00002.gguf";
  const auto u16 = [](uint16_t value) { return raw<uint32_t>(2) + raw(value); };
  write_split(folder.path(), [](Builder&, Builder&) {});
  const auto model = ModelFile::open(first);
  CHECK(model->weights().layers[0].mlp.down_proj.cols == 12);
  CHECK(model->file_bytes() == std::filesystem::file_size(first) +
                                   std::filesystem::file_size(folder.path() / "tiny-00002-of-00002.gguf"));
  model->release_pages(model->weights().layers[0].mlp.down_proj.data);
  CHECK(values(model->weights().layers[0].mlp.down_proj).size() == 96);

  CHECK_THROWS_WITH(ModelFile::open(folder.path() / "tiny-00002-of-00002.gguf"), Contains("architecture"));
  std::filesystem::copy_file(first, folder.path() / "renamed.gguf");
  CHECK_THROWS_WITH(ModelFile::open(folder.path() / "renamed.gguf"), Contains("-00001-of-00002.gguf"));

  write_split(folder.path(), [&](Builder&, Builder& second) { second.set("split.no", u16(0)); });
  CHECK_THROWS_WITH(ModelFile::open(first), Contains("tiny-00002-of-00002.gguf") && Contains("part 2 of 2"));
  write_split(folder.path(),
              [](Builder&, Builder& second) { second.tensor("output_norm.weight").dims = {8}; });
  CHECK_THROWS_WITH(ModelFile::open(first), Contains("'output_norm.weight' is in an earlier part"));
  write_split(folder.path(), [](Builder&, Builder& second) { second.tensors.pop_back(); });
  CHECK_THROWS_WITH(ModelFile::open(first), Contains("'split.tensors.count' is 15"));
  write_split(folder.path(), [&](Builder& part, Builder&) { part.set("split.count", u16(60000)); });
  CHECK_THROWS_WITH(ModelFile::open(first), Contains("60000"));
  write_split(folder.path(), [](Builder&, Builder&) {});
  std::filesystem::remove(folder.path() / "tiny-00002-of-00002.gguf");
  CHECK_THROWS_WITH(ModelFile::open(first), Contains("tiny-00002-of-00002.gguf"));
}
