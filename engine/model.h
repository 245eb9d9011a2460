// A Qwen2 model in memory: the reader's map of the engine. Shapes in comments, outermost dimension first,
// with
//   h = hidden_size, q = num_attention_heads*head_dim, kv = num_key_value_heads*head_dim, i =
//   intermediate_size, v = vocab_size, E = num_experts, m = moe_intermediate_size, s =
//   shared_expert_intermediate_size.
// Matrices are views into the mapped file(s); the ModelFile that made them keeps them alive.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/config.h"
#include "kernels/common/types.h"

namespace lectern {

// W[rows, cols] as it lies in the file: rows contiguous, quantised along a row. Nothing promises that `data`
// is aligned: a safetensors file may begin its tensors at any byte.
struct Matrix {
  DType dtype = DType::kF32;
  int rows = 0;
  int cols = 0;
  std::span<const std::byte> data;
  std::string name;  // the tensor's name in the file, for errors

  bool empty() const { return rows == 0; }
  size_t row_bytes() const {
    const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
    return static_cast<size_t>(cols) / static_cast<size_t>(info.block_elements) *
           static_cast<size_t>(info.block_bytes);
  }
};

using Vector = std::vector<float>;  // norms and biases are small: always widened to float

struct MlpWeights {  // y = down(silu(gate(x)) * up(x))
  Matrix gate_proj;  // [i, h]
  Matrix up_proj;    // [i, h]
  Matrix down_proj;  // [h, i]
};

struct MoeWeights {
  Matrix router;                    // [E, h]
  std::vector<MlpWeights> experts;  // E of them, with i = m
  MlpWeights shared_expert;         // with i = s
  Vector shared_expert_gate;        // [h]
};

struct LayerWeights {
  Vector input_layernorm;           // [h]
  Matrix q_proj, k_proj, v_proj;    // [q, h], [kv, h], [kv, h]
  Vector q_bias, k_bias, v_bias;    // [q], [kv], [kv]
  Matrix o_proj;                    // [h, q]
  Vector post_attention_layernorm;  // [h]
  MlpWeights mlp;                   // dense layers
  MoeWeights moe;                   // kQwen2Moe
};

struct Weights {
  Matrix embed_tokens;  // [v, h]
  std::vector<LayerWeights> layers;
  Vector norm;     // [h]
  Matrix lm_head;  // [v, h]; the same view as embed_tokens when tied
};

}  // namespace lectern
