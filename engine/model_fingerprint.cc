#include "engine/model_fingerprint.h"

#include <charconv>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/hash.h"

namespace lectern {
namespace {

class Fingerprinter {
 public:
  template <typename T>
  void add(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    sha_.update(std::as_bytes(std::span(&value, 1)));
  }

  void add(const Matrix& matrix, const ModelFile& model) {
    add(matrix.dtype);
    add(matrix.rows);
    add(matrix.cols);
    add(fast_hash(matrix.data));
    model.release_pages(matrix.data);
  }

  void add(const Vector& vector) {
    add(vector.size());
    add(fast_hash(std::as_bytes(std::span(vector))));
  }

  void add(const MlpWeights& mlp, const ModelFile& model) {
    add(mlp.gate_proj, model);
    add(mlp.up_proj, model);
    add(mlp.down_proj, model);
  }

  void add(const Qwen2Config& c) {
    add(c.architecture);
    for (const int value :
         {c.hidden_size, c.intermediate_size, c.num_hidden_layers, c.num_attention_heads,
          c.num_key_value_heads, c.head_dim, c.vocab_size, c.num_experts, c.num_experts_per_tok,
          c.moe_intermediate_size, c.shared_expert_intermediate_size})
      add(value);
    add(c.rms_norm_eps);
    add(c.rope_theta);
    add(c.tie_word_embeddings);
    add(c.norm_topk_prob);
    const YarnScaling yarn = c.rope_scaling.value_or(YarnScaling{});
    add(yarn.factor);
    add(yarn.original_max_position_embeddings);
    const DualChunkAttention chunks = c.dual_chunk_attention.value_or(DualChunkAttention{});
    add(chunks.chunk_size);
    add(chunks.local_size);
    add(chunks.original_max_position_embeddings);
  }

  void add(const Weights& weights, const ModelFile& model) {
    add(weights.embed_tokens, model);
    for (const LayerWeights& layer : weights.layers) {
      for (const Vector* vector : {&layer.input_layernorm, &layer.q_bias, &layer.k_bias, &layer.v_bias,
                                   &layer.post_attention_layernorm, &layer.moe.shared_expert_gate})
        add(*vector);
      for (const Matrix* matrix :
           {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj, &layer.moe.router})
        add(*matrix, model);
      add(layer.mlp, model);
      for (const MlpWeights& expert : layer.moe.experts) add(expert, model);
      add(layer.moe.shared_expert, model);
    }
    add(weights.norm);
    if (weights.lm_head.data.data() != weights.embed_tokens.data.data()) add(weights.lm_head, model);
  }

  void add(const Vocabulary& vocabulary) {
    const auto add_text = [this](const std::string& text) {
      add(text.size());
      sha_.update(text);
    };
    add(vocabulary.tokens.size());
    for (const std::string& token : vocabulary.tokens) add_text(token);
    for (const auto type : vocabulary.types) add(type);
    for (const auto& [left, right] : vocabulary.merges) {
      add_text(left);
      add_text(right);
    }
  }

  ModelFingerprint finish() {
    const std::string hex = sha_.hex_digest();
    ModelFingerprint result;
    for (size_t i = 0; i < result.size(); ++i) {
      uint8_t byte = 0;
      std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, byte, 16);
      result[i] = std::byte{byte};
    }
    return result;
  }

 private:
  Sha256 sha_;
};

}  // namespace

ModelFingerprint fingerprint(const ModelFile& model) {
  Fingerprinter sum;
  sum.add(model.config());
  sum.add(model.weights(), model);
  sum.add(model.vocabulary());
  return sum.finish();
}

}  // namespace lectern
