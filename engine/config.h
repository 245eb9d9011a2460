// The shape of a Qwen2-family model, with the names of its Hugging Face config.json. Plain data; every value
// is read from the model file, never from a table (eps, theta and vocabulary rows differ quietly between
// releases).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lectern {

enum class Architecture { kQwen2, kQwen2Moe };

// YaRN context extension (arXiv:2309.00071); static, as the reference implementation applies it.
struct YarnScaling {
  float factor = 1.0f;
  int original_max_position_embeddings = 0;
};

// How the 1M models reach beyond their training: Dual Chunk Attention (arXiv:2402.17463; rope.h). Up to
// chunk_size tokens it is the ordinary attention.
struct DualChunkAttention {
  int chunk_size = 0;                        // the largest distance between a query and a key
  int local_size = 0;                        // distances up to this one are true across chunks
  int original_max_position_embeddings = 0;  // beyond it attention is sharpened; 0: never

  int key_chunk_tokens() const { return chunk_size - local_size; }
};

// How much of the attention of one query head is read when a prompt is read sparsely (vertical_slash.h).
struct VerticalSlashBudget {
  int vertical = 0;  // columns: keys that all later queries read
  int slash = 0;     // diagonals: distances at which all queries read
  bool operator==(const VerticalSlashBudget&) const = default;
};

// Key chunks are whole pages of the KV cache.
inline constexpr int kDualChunkMultiple = 128;

struct Qwen2Config {
  Architecture architecture = Architecture::kQwen2;
  std::string name;  // general.name of a GGUF or the folder's name

  int hidden_size = 0;
  int intermediate_size = 0;  // of the dense feed-forward block; unused by MoE layers
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  int vocab_size = 0;  // rows of the embedding; may exceed the tokenizer's size, those ids are never produced
  float rms_norm_eps = 0;
  float rope_theta = 0;
  int max_position_embeddings = 0;  // as the file says; context_tokens() is what runs
  bool tie_word_embeddings = false;
  std::optional<YarnScaling> rope_scaling;
  std::optional<DualChunkAttention> dual_chunk_attention;
  // By layer and query head; empty: none (sparse_attention_config.h).
  std::vector<std::vector<VerticalSlashBudget>> sparse_attention;

  // Mixture of experts (kQwen2Moe): every layer is sparse.
  int num_experts = 0;
  int num_experts_per_tok = 0;
  int moe_intermediate_size = 0;
  int shared_expert_intermediate_size = 0;
  bool norm_topk_prob = false;

  int group_size() const { return num_attention_heads / num_key_value_heads; }  // query heads per KV head
  int q_size() const { return num_attention_heads * head_dim; }
  int kv_size() const { return num_key_value_heads * head_dim; }

  // The longest sequence that the model was made for: factor *
  // original_max_position_embeddings where the config asks for YaRN, whatever max_position_embeddings says
  // (Qwen2.5's cards add the scaling and leave it at 32,768), else max_position_embeddings.
  int context_tokens() const;
};

// Reads beyond max_position_embeddings by Dual Chunk Attention, without training: in chunks of what the model
// was trained on, up to 32 times as far. Throws Error(kUnsupported) naming `origin` for a model that is
// extended already, or made for too few tokens.
void extend_by_dual_chunks(Qwen2Config& config, const std::string& origin);

// Throws Error(kCorrupt) naming `origin` and the field when a value is missing, absurd or inconsistent.
void validate(const Qwen2Config& config, const std::string& origin);

}  // namespace lectern
