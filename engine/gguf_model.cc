// A Qwen2 model from GGUF: which keys mean what.
#include <algorithm>
#include <climits>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "engine/gguf.h"
#include "engine/model_loaders.h"
#include "engine/weights.h"

namespace lectern {
namespace {

constexpr int64_t kMaxParts = 999;

// GGUF has no keys for Dual Chunk Attention, so converters drop it and leave the 1,010,000 tokens that it
// makes possible in context_length. Only those models go beyond the 262,144 tokens they were trained on.
constexpr DualChunkAttention kMillionModels = {262144, 8192, 262144};

[[noreturn]] void fail(const GgufFile& file, ErrorCode code, const std::string& why) {
  throw Error(code, file.origin() + ": " + why);
}

int to_int(const GgufFile& file, const std::string& key, int64_t value) {
  if (value < 0 || value > INT_MAX)
    fail(file, ErrorCode::kCorrupt, "key " + quote(key) + " is " + std::to_string(value) + ", out of range");
  return static_cast<int>(value);
}

int read_int(const GgufFile& file, const std::string& key) {
  return to_int(file, key, file.integer(key));
}

int read_int_or(const GgufFile& file, const std::string& key, int fallback) {
  return to_int(file, key, file.integer_or(key, fallback));
}

Architecture read_architecture(const GgufFile& file) {
  const std::string_view name = file.string("general.architecture");
  if (name == "qwen2") return Architecture::kQwen2;
  if (name == "qwen2moe") return Architecture::kQwen2Moe;
  fail(file, ErrorCode::kUnsupported,
       "holds a model of the architecture " + quote(name) +
           "; Lectern runs 'qwen2' and 'qwen2moe' (the Qwen2, Qwen2.5 and Qwen2-57B-A14B models)");
}

std::optional<YarnScaling> read_rope_scaling(const GgufFile& file, const std::string& prefix) {
  const std::string scaling = prefix + "rope.scaling.";
  const std::string_view type = file.string_or(scaling + "type", "none");
  const double factor = file.real_or(scaling + "factor", 1.0);
  if (type == "none" || (type == "linear" && factor == 1.0)) return std::nullopt;
  if (type != "yarn") {
    fail(file, ErrorCode::kUnsupported,
         "key '" + scaling + "type' is " + quote(type) + "; Lectern runs 'yarn' and unscaled models");
  }
  // What the reference implementation would do by default, and the only values Qwen2 was published with.
  const std::pair<const char*, double> defaults[] = {{"attn_factor", 1.0},
                                                     {"yarn_ext_factor", 1.0},
                                                     {"yarn_attn_factor", 1.0},
                                                     {"yarn_beta_fast", 32.0},
                                                     {"yarn_beta_slow", 1.0}};
  for (const auto& [name, value] : defaults) {
    if (file.real_or(scaling + name, value) != value)
      fail(file, ErrorCode::kUnsupported,
           "key '" + scaling + name + "' differs from YaRN's default, which Lectern does not run");
  }
  return YarnScaling{static_cast<float>(factor), read_int(file, scaling + "original_context_length")};
}

// Rows of a tensor (its second dimension from inside), for sizes that only the tensors tell; 0 when absent.
int rows_of(const TensorTable& tensors, std::string_view name) {
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.shape.size() < 2) return 0;
  const std::vector<uint64_t>& shape = found->second.shape;
  return static_cast<int>(std::min<uint64_t>(shape[shape.size() - 2], INT_MAX));
}

void read_experts(const GgufFile& file, const std::string& prefix, const TensorTable& tensors,
                  Qwen2Config& c) {
  c.num_experts = read_int(file, prefix + "expert_count");
  c.num_experts_per_tok = read_int(file, prefix + "expert_used_count");
  // Early files lack the two sizes.
  c.moe_intermediate_size = read_int_or(file, prefix + "expert_feed_forward_length",
                                        rows_of(tensors, "blk.0.ffn_gate_exps.weight"));
  c.shared_expert_intermediate_size = read_int_or(file, prefix + "expert_shared_feed_forward_length",
                                                  rows_of(tensors, "blk.0.ffn_gate_shexp.weight"));
  c.norm_topk_prob = file.boolean_or(prefix + "expert_weights_norm", false);
}

Qwen2Config read_config(const GgufFile& file, const TensorTable& tensors, const std::filesystem::path& path) {
  Qwen2Config c;
  c.architecture = read_architecture(file);
  c.name = utf8::repair(file.string_or("general.name", path.stem().string()));
  const std::string prefix = c.architecture == Architecture::kQwen2 ? "qwen2." : "qwen2moe.";
  c.hidden_size = read_int(file, prefix + "embedding_length");
  c.num_hidden_layers = read_int(file, prefix + "block_count");
  c.num_attention_heads = read_int(file, prefix + "attention.head_count");
  c.num_key_value_heads = read_int_or(file, prefix + "attention.head_count_kv", c.num_attention_heads);
  c.head_dim = read_int_or(file, prefix + "attention.key_length",
                           c.num_attention_heads > 0 ? c.hidden_size / c.num_attention_heads : 0);
  c.vocab_size = rows_of(tensors, embedding_name(TensorNaming::kGguf));
  c.rms_norm_eps = static_cast<float>(file.real(prefix + "attention.layer_norm_rms_epsilon"));
  c.rope_theta = static_cast<float>(file.real(prefix + "rope.freq_base"));
  c.max_position_embeddings = read_int(file, prefix + "context_length");
  c.rope_scaling = read_rope_scaling(file, prefix);
  if (!c.rope_scaling && c.max_position_embeddings > kMillionModels.chunk_size)
    c.dual_chunk_attention = kMillionModels;
  c.tie_word_embeddings = tensors.find(head_name(TensorNaming::kGguf)) == tensors.end();
  if (c.architecture == Architecture::kQwen2)
    c.intermediate_size = read_int(file, prefix + "feed_forward_length");
  else
    read_experts(file, prefix, tensors, c);
  validate(c, file.origin());

  // Values that say the same again must agree; other values would mean another model.
  const std::pair<const char*, int> repeated[] = {{"attention.value_length", c.head_dim},
                                                  {"rope.dimension_count", c.head_dim},
                                                  {"vocab_size", c.vocab_size}};
  for (const auto& [key, expected] : repeated) {
    if (const int value = read_int_or(file, prefix + key, expected); value != expected)
      fail(file, ErrorCode::kCorrupt,
           "key '" + prefix + key + "' is " + std::to_string(value) + "; the rest of the file asks for " +
               std::to_string(expected));
  }
  return c;
}

// ggml's token types: 1 normal, 2 unknown, 3 control, 4 added by hand but plain text, 5 unused, 6 byte.
Vocabulary::TokenType to_token_type(const GgufFile& file, size_t id, int64_t type) {
  switch (type) {
    case 1:
      return Vocabulary::TokenType::kNormal;
    case 3:
      return Vocabulary::TokenType::kControl;
    case 4:
      return Vocabulary::TokenType::kAdded;
    case 2:
    case 5:
      return Vocabulary::TokenType::kUnused;
    default:
      fail(file, ErrorCode::kCorrupt,
           "key 'tokenizer.ggml.token_type' gives token " + std::to_string(id) + " the type " +
               std::to_string(type) + ", which a byte-level vocabulary cannot have");
  }
}

void require_tokenizer(const GgufFile& file, const char* key, std::string_view found,
                       std::string_view wanted) {
  if (found == wanted) return;
  fail(file, ErrorCode::kUnsupported,
       "key '" + std::string(key) + "' is " + quote(found) + "; Lectern runs " + quote(wanted) +
           ", which all Qwen2 models use");
}

Vocabulary read_vocabulary(const GgufFile& file, const Qwen2Config& config) {
  require_tokenizer(file, "tokenizer.ggml.model", file.string("tokenizer.ggml.model"), "gpt2");
  // Absent from early files.
  require_tokenizer(file, "tokenizer.ggml.pre", file.string_or("tokenizer.ggml.pre", "qwen2"), "qwen2");
  const std::vector<std::string_view> tokens = file.strings("tokenizer.ggml.tokens", kMaxVocabularyTokens);
  const std::vector<int64_t> types = file.integers("tokenizer.ggml.token_type", kMaxVocabularyTokens);
  const std::vector<std::string_view> merges = file.strings("tokenizer.ggml.merges", kMaxMerges);
  if (tokens.empty() || tokens.size() > static_cast<size_t>(config.vocab_size)) {
    fail(file, ErrorCode::kCorrupt,
         "key 'tokenizer.ggml.tokens' has " + std::to_string(tokens.size()) +
             " tokens, but the embedding has " + std::to_string(config.vocab_size) + " rows");
  }
  if (types.size() != tokens.size()) {
    fail(file, ErrorCode::kCorrupt,
         "key 'tokenizer.ggml.token_type' has " + std::to_string(types.size()) + " entries for " +
             std::to_string(tokens.size()) + " tokens");
  }
  Vocabulary vocabulary;
  vocabulary.tokens.assign(tokens.begin(), tokens.end());
  vocabulary.types.reserve(types.size());
  for (size_t id = 0; id < types.size(); ++id) vocabulary.types.push_back(to_token_type(file, id, types[id]));
  vocabulary.merges.resize(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    if (!split_merge(merges[rank], vocabulary.merges[rank]))
      fail(file, ErrorCode::kCorrupt,
           "key 'tokenizer.ggml.merges': merge " + std::to_string(rank) + " is " + quote(merges[rank]) +
               ", not two tokens and a space");
  }
  return vocabulary;
}

// general.file_type, as quantising tools name it; else the type of most bytes.
std::string describe_quantisation(const GgufFile& file, const TensorTable& tensors) {
  constexpr std::pair<int64_t, const char*> kNames[] = {
      {0, "F32"},     {1, "F16"},     {2, "Q4_0"},    {3, "Q4_1"},    {7, "Q8_0"},
      {8, "Q5_0"},    {9, "Q5_1"},    {10, "Q2_K"},   {11, "Q3_K_S"}, {12, "Q3_K_M"},
      {13, "Q3_K_L"}, {14, "Q4_K_S"}, {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},
      {18, "Q6_K"},   {21, "Q2_K_S"}, {25, "IQ4_NL"}, {30, "IQ4_XS"}, {32, "BF16"}};
  const int64_t type = file.integer_or("general.file_type", -1);
  for (const auto& [id, name] : kNames)
    if (id == type) return name;
  return prevailing_type(tensors);
}

// "NAME-00001-of-00003.gguf" -> the paths of all parts. The name must agree with the count in the file.
std::vector<std::filesystem::path> part_paths(const GgufFile& first, const std::filesystem::path& path) {
  const int64_t n_parts = first.integer_or("split.count", 1);
  if (n_parts <= 1) return {path};
  const int64_t index = first.integer("split.no");
  if (n_parts > kMaxParts || index < 0 || index >= n_parts)
    fail(first, ErrorCode::kCorrupt,
         "keys 'split.no' and 'split.count' say part " + std::to_string(index) + " of " +
             std::to_string(n_parts));
  auto suffix = [&](int64_t part) {
    char text[32];
    std::snprintf(text, sizeof(text), "-%05d-of-%05d.gguf", static_cast<int>(part),
                  static_cast<int>(n_parts));
    return std::string(text);
  };
  const std::string name = path.filename().string();
  if (index != 0 || !name.ends_with(suffix(1)))
    fail(first, ErrorCode::kInvalidArgument,
         "is part " + std::to_string(index + 1) + " of a model in " + std::to_string(n_parts) +
             " files; open the first, whose name ends with " + suffix(1));
  const std::string stem = name.substr(0, name.size() - suffix(1).size());
  std::vector<std::filesystem::path> paths;
  for (int64_t part = 1; part <= n_parts; ++part) paths.push_back(path.parent_path() / (stem + suffix(part)));
  return paths;
}

void append_part(const std::filesystem::path& path, int64_t index, int64_t n_parts, LoadedModel& model,
                 TensorTable& tensors) {
  model.files.emplace_back(path);
  const GgufFile part(model.files.back().bytes(), path.string());
  if (part.integer("split.no") != index || part.integer("split.count") != n_parts)
    fail(part, ErrorCode::kCorrupt,
         "does not say that it is part " + std::to_string(index + 1) + " of " + std::to_string(n_parts) +
             "; the files belong to different models");
  for (const auto& [name, tensor] : part.tensors()) {
    if (!tensors.emplace(name, tensor).second)
      fail(part, ErrorCode::kCorrupt, "tensor " + quote(name) + " is in an earlier part as well");
  }
}

}  // namespace

LoadedModel load_gguf(const std::filesystem::path& path) {
  LoadedModel model;
  model.files.emplace_back(path);
  const GgufFile file(model.files[0].bytes(), path.string());
  read_architecture(file);  // first, so that other models are named as such
  TensorTable tensors = file.tensors();
  const std::vector<std::filesystem::path> parts = part_paths(file, path);
  for (size_t i = 1; i < parts.size(); ++i)
    append_part(parts[i], static_cast<int64_t>(i), static_cast<int64_t>(parts.size()), model, tensors);
  const auto n_tensors = static_cast<int64_t>(tensors.size());
  if (const int64_t expected = file.integer_or("split.tensors.count", n_tensors); expected != n_tensors)
    fail(file, ErrorCode::kCorrupt,
         "key 'split.tensors.count' is " + std::to_string(expected) + ", but the parts hold " +
             std::to_string(n_tensors) + " tensors");

  model.config = read_config(file, tensors, path);
  model.weights = bind_weights(model.config, tensors, TensorNaming::kGguf, path.string());
  model.vocabulary = read_vocabulary(file, model.config);
  model.quantisation = describe_quantisation(file, tensors);
  return model;
}

}  // namespace lectern
