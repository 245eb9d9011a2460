#include "engine/config_json.h"

#include <climits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "engine/sparse_attention_config.h"
#include "engine/tensor.h"

namespace lectern {
namespace {

// A Json object finds its keys one by one, so one of very many would take long to build.
constexpr uint64_t kMaxConfigBytes = 256 << 10;

// config.json with checked look-ups.
class ConfigReader {
 public:
  ConfigReader(const Json& json, std::string origin) : json_(json), origin_(std::move(origin)) {
    if (!json.is_object()) fail(ErrorCode::kCorrupt, "is not an object");
  }

  [[noreturn]] void fail(ErrorCode code, const std::string& why) const {
    throw Error(code, origin_ + ": " + why);
  }

  // Null when absent or null.
  const Json* find(const char* field) const {
    const auto found = json_.find(field);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  int integer(const char* field) const {
    const Json& value = get(field);
    if (!value.is_number_integer() || value < 0 || value > INT_MAX) wrong(field, "an integer in range");
    return value.get<int>();
  }
  int integer_or(const char* field, int fallback) const { return find(field) ? integer(field) : fallback; }

  float real(const char* field) const {
    const Json& value = get(field);
    if (!value.is_number()) wrong(field, "a number");
    return value.get<float>();
  }
  float real_or(const char* field, float fallback) const { return find(field) ? real(field) : fallback; }

  bool boolean_or(const char* field, bool fallback) const {
    const Json* value = find(field);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) wrong(field, "true or false");
    return value->get<bool>();
  }

  std::string string_or(const char* field, const char* fallback) const {
    const Json* value = find(field);
    if (value == nullptr) return fallback;
    if (!value->is_string()) wrong(field, "a string");
    return value->get<std::string>();
  }

  void require(const char* field, bool condition, const std::string& remedy) const {
    if (!condition)
      fail(ErrorCode::kUnsupported,
           "field '" + std::string(field) + "' is " + quote(dump_json(get(field))) + "; " + remedy);
  }

 private:
  const Json& get(const char* field) const {
    const Json* value = find(field);
    if (value == nullptr) fail(ErrorCode::kCorrupt, "field '" + std::string(field) + "' is missing");
    return *value;
  }
  [[noreturn]] void wrong(const char* field, const char* expected) const {
    fail(ErrorCode::kCorrupt,
         "field '" + std::string(field) + "' is " + quote(dump_json(get(field))) + ", not " + expected);
  }

  const Json& json_;
  std::string origin_;
};

// Theta and scaling lie at the top, or together in "rope_parameters" in folders of newer writers.
void read_rope(const ConfigReader& top, const std::string& origin, Qwen2Config& c) {
  const Json* parameters = top.find("rope_parameters");
  const Json* scaling = parameters != nullptr ? parameters : top.find("rope_scaling");
  const Json none = Json::object();
  const ConfigReader rope(scaling != nullptr ? *scaling : none, origin + ": rope_scaling");
  c.rope_theta = rope.find("rope_theta") != nullptr ? rope.real("rope_theta") : top.real("rope_theta");
  const char* type_field = rope.find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = rope.string_or(type_field, "default");
  if (type == "default") return;
  rope.require(type_field, type == "yarn", "Lectern runs 'yarn' and unscaled models");
  for (const auto& [field, value] : {std::pair("beta_fast", 32.0f), std::pair("beta_slow", 1.0f)})
    rope.require(field, rope.real_or(field, value) == value, "Lectern runs YaRN's default only");
  for (const char* field : {"attention_factor", "mscale", "mscale_all_dim"})
    if (rope.find(field) != nullptr) rope.require(field, false, "Lectern runs YaRN's default only");
  c.rope_scaling = YarnScaling{
      rope.real("factor"), rope.integer_or("original_max_position_embeddings", c.max_position_embeddings)};
}

void read_dual_chunk_attention(const ConfigReader& top, const std::string& origin, Qwen2Config& c) {
  const Json* found = top.find("dual_chunk_attention_config");
  if (found == nullptr) return;
  const ConfigReader json(*found, origin + ": dual_chunk_attention_config");
  c.dual_chunk_attention = DualChunkAttention{
      .chunk_size = json.integer("chunk_size"),
      .local_size = json.integer("local_size"),
      .original_max_position_embeddings = json.integer_or("original_max_position_embeddings", 0)};
}

// Some folders have the budgets here, and not in sparse_attention_config.json.
void read_sparse_budgets(const ConfigReader& top, const std::string& origin, Qwen2Config& c) {
  const Json* chunks = top.find("dual_chunk_attention_config");
  if (chunks == nullptr) return;
  if (const Json* budgets = ConfigReader(*chunks, origin).find("sparse_attention_config"))
    c.sparse_attention =
        read_sparse_attention(*budgets, c, origin + ": dual_chunk_attention_config: sparse_attention_config");
}

void read_experts(const ConfigReader& json, Qwen2Config& c) {
  c.num_experts = json.integer("num_experts");
  c.num_experts_per_tok = json.integer("num_experts_per_tok");
  c.moe_intermediate_size = json.integer("moe_intermediate_size");
  c.shared_expert_intermediate_size = json.integer_or("shared_expert_intermediate_size", 0);
  c.norm_topk_prob = json.boolean_or("norm_topk_prob", false);
  if (const Json* step = json.find("decoder_sparse_step"))
    json.require("decoder_sparse_step", *step == 1, "Lectern runs models whose every layer has experts");
  if (const Json* layers = json.find("mlp_only_layers"))
    json.require("mlp_only_layers", layers->is_array() && layers->empty(),
                 "Lectern runs models whose every layer has experts");
}

Architecture read_architecture(const ConfigReader& json) {
  const std::string type = json.string_or("model_type", "");
  if (type == "qwen2") return Architecture::kQwen2;
  if (type == "qwen2_moe") return Architecture::kQwen2Moe;
  json.fail(ErrorCode::kUnsupported,
            "describes a model of the type " + quote(type) +
                "; Lectern runs 'qwen2' and 'qwen2_moe' (the Qwen2, Qwen2.5 and Qwen2-57B-A14B models)");
}

}  // namespace

Qwen2Config read_config_json(std::string_view text, const std::string& origin) {
  if (text.size() > kMaxConfigBytes)
    throw Error(ErrorCode::kCorrupt, origin + ": is larger than any configuration of a model");
  const Json document = parse_json(text, origin);
  const ConfigReader json(document, origin);
  Qwen2Config c;
  c.architecture = read_architecture(json);
  if (json.find("quantization_config") != nullptr)
    json.fail(
        ErrorCode::kUnsupported,
        "field 'quantization_config': the folder is quantised; Lectern reads folders in F32, F16 or BF16 "
        "and quantised models as GGUF files");
  json.require("hidden_act", json.string_or("hidden_act", "silu") == "silu", "Lectern runs 'silu'");
  json.require("use_sliding_window", !json.boolean_or("use_sliding_window", false),
               "Lectern runs models with full attention");
  c.hidden_size = json.integer("hidden_size");
  c.num_hidden_layers = json.integer("num_hidden_layers");
  c.num_attention_heads = json.integer("num_attention_heads");
  c.num_key_value_heads = json.integer_or("num_key_value_heads", c.num_attention_heads);
  c.head_dim =
      json.integer_or("head_dim", c.num_attention_heads > 0 ? c.hidden_size / c.num_attention_heads : 0);
  c.vocab_size = json.integer("vocab_size");
  c.rms_norm_eps = json.real("rms_norm_eps");
  c.max_position_embeddings = json.integer("max_position_embeddings");
  c.tie_word_embeddings = json.boolean_or("tie_word_embeddings", false);
  read_rope(json, origin, c);
  read_dual_chunk_attention(json, origin, c);
  if (c.architecture == Architecture::kQwen2)
    c.intermediate_size = json.integer("intermediate_size");
  else
    read_experts(json, c);
  validate(c, origin);
  read_sparse_budgets(json, origin, c);
  return c;
}

}  // namespace lectern
