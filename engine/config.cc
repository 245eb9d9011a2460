#include "engine/config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lectern {
namespace {

// Far above every model of the family, low enough that products of a few of them fit 64 bits and that memory
// per layer or expert stays small whatever a file claims.
constexpr int kMaxHiddenSize = 1 << 16;
constexpr int kMaxIntermediateSize = 1 << 20;
constexpr int kMaxLayers = 512;
constexpr int kMaxHeads = 1024;
constexpr int kMaxHeadDim = 512;
constexpr int kMaxVocabSize = 1 << 22;
constexpr int kMaxPositions = 1 << 26;
constexpr int kMaxExperts = 512;
constexpr float kMaxYarnFactor = 4096.0f;
constexpr int kMaxExtension = 32;  // times the trained length

class Checker {
 public:
  explicit Checker(const std::string& origin) : origin_(origin) {}

  void range(const char* field, int value, int min, int max) const {
    if (value < min || value > max)
      fail(field, std::to_string(value), std::to_string(min) + " to " + std::to_string(max) + " is possible");
  }
  // Also refuses NaN.
  void range(const char* field, float value, float min, float max) const {
    if (!(value >= min && value <= max))
      fail(field, std::to_string(value), std::to_string(min) + " to " + std::to_string(max) + " is possible");
  }
  void that(bool condition, const char* field, int value, const std::string& why) const {
    if (!condition) fail(field, std::to_string(value), why);
  }

 private:
  [[noreturn]] void fail(const char* field, const std::string& value, const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, origin_ + ": " + field + " is " + value + "; " + why);
  }
  const std::string& origin_;
};

}  // namespace

int Qwen2Config::context_tokens() const {
  if (rope_scaling) {
    const double tokens = double{rope_scaling->factor} * rope_scaling->original_max_position_embeddings;
    return static_cast<int>(std::min(tokens, double{kMaxPositions}));
  }
  return max_position_embeddings;
}

void extend_by_dual_chunks(Qwen2Config& config, const std::string& origin) {
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::kUnsupported, origin + ": its context cannot be extended: " + why);
  };
  if (config.dual_chunk_attention) fail("the model has Dual Chunk Attention already");
  if (config.rope_scaling) fail("the model is extended by YaRN already");
  // The proportion of the published 1M models, in whole key pages.
  const int trained = config.max_position_embeddings / kDualChunkMultiple * kDualChunkMultiple;
  const int local = trained / 32 / kDualChunkMultiple * kDualChunkMultiple;
  if (local == 0 || trained > kMaxPositions / kMaxExtension)
    fail("it was made for " + std::to_string(config.max_position_embeddings) + " tokens");
  config.dual_chunk_attention = DualChunkAttention{trained, local, trained};
  config.max_position_embeddings = trained * kMaxExtension;
}

void validate(const Qwen2Config& c, const std::string& origin) {
  const Checker check(origin);
  check.range("hidden_size", c.hidden_size, 1, kMaxHiddenSize);
  check.range("num_hidden_layers", c.num_hidden_layers, 1, kMaxLayers);
  check.range("num_attention_heads", c.num_attention_heads, 1, kMaxHeads);
  check.range("num_key_value_heads", c.num_key_value_heads, 1, c.num_attention_heads);
  check.that(c.num_attention_heads % c.num_key_value_heads == 0, "num_key_value_heads", c.num_key_value_heads,
             "it must divide num_attention_heads, which is " + std::to_string(c.num_attention_heads));
  check.range("head_dim", c.head_dim, 2, kMaxHeadDim);
  check.that(c.head_dim % 2 == 0, "head_dim", c.head_dim, "rotary embeddings need an even number");
  check.range("vocab_size", c.vocab_size, 1, kMaxVocabSize);
  check.range("rms_norm_eps", c.rms_norm_eps, 0.0f, 0.1f);
  check.range("rope_theta", c.rope_theta, 1.0f, 1e12f);
  check.range("max_position_embeddings", c.max_position_embeddings, 1, kMaxPositions);
  if (c.rope_scaling) {
    check.range("rope_scaling.factor", c.rope_scaling->factor, 1.0f, kMaxYarnFactor);
    check.range("rope_scaling.original_max_position_embeddings",
                c.rope_scaling->original_max_position_embeddings, 1, kMaxPositions);
  }
  if (c.dual_chunk_attention) {
    check.range("dual_chunk_attention_config.chunk_size", c.dual_chunk_attention->chunk_size, 1,
                kMaxPositions);
    check.range("dual_chunk_attention_config.local_size", c.dual_chunk_attention->local_size, 1,
                c.dual_chunk_attention->chunk_size);
    check.range("dual_chunk_attention_config.original_max_position_embeddings",
                c.dual_chunk_attention->original_max_position_embeddings, 0, kMaxPositions);
    check.that(c.dual_chunk_attention->key_chunk_tokens() > 0 &&
                   c.dual_chunk_attention->key_chunk_tokens() % kDualChunkMultiple == 0,
               "dual_chunk_attention_config.local_size", c.dual_chunk_attention->local_size,
               "chunk_size - local_size must be a multiple of " + std::to_string(kDualChunkMultiple));
    check.that(!c.rope_scaling, "dual_chunk_attention_config.chunk_size", c.dual_chunk_attention->chunk_size,
               "it cannot be combined with rope_scaling");
  }
  if (c.architecture == Architecture::kQwen2) {
    check.range("intermediate_size", c.intermediate_size, 1, kMaxIntermediateSize);
    return;
  }
  check.range("num_experts", c.num_experts, 1, kMaxExperts);
  check.range("num_experts_per_tok", c.num_experts_per_tok, 1, c.num_experts);
  check.range("moe_intermediate_size", c.moe_intermediate_size, 1, kMaxIntermediateSize);
  check.range("shared_expert_intermediate_size", c.shared_expert_intermediate_size, 0, kMaxIntermediateSize);
}

}  // namespace lectern
