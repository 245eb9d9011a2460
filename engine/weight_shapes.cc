#include "engine/weight_shapes.h"

#include "base/error.h"

namespace lectern {
namespace {

void check_length(const Vector& vector, int expected, const char* what, const std::filesystem::path& path) {
  if (vector.size() != static_cast<size_t>(expected)) {
    throw Error(ErrorCode::kCorrupt, path.string() + ": " + what + " has " + std::to_string(vector.size()) +
                                         " numbers, the model's shape asks for " + std::to_string(expected));
  }
}

}  // namespace

void check_shape(const ShapedMatrix& expected, const ModelFile& model) {
  const Matrix& m = *expected.matrix;
  const bool whole_blocks = m.cols % kDTypeInfo[static_cast<int>(m.dtype)].block_elements == 0;
  if (m.rows != expected.rows || m.cols != expected.cols || !whole_blocks ||
      m.data.size() != static_cast<size_t>(m.rows) * m.row_bytes()) {
    throw Error(ErrorCode::kCorrupt, model.path().string() + ": tensor " + m.name + " is [" +
                                         std::to_string(m.rows) + ", " + std::to_string(m.cols) +
                                         "], the model's shape asks for [" + std::to_string(expected.rows) +
                                         ", " + std::to_string(expected.cols) + "]");
  }
}

void check_vectors(const ModelFile& model) {
  const Weights& weights = model.weights();
  const Qwen2Config& c = model.config();
  const std::filesystem::path& path = model.path();
  if (weights.layers.size() != static_cast<size_t>(c.num_hidden_layers)) {
    throw Error(ErrorCode::kCorrupt, path.string() + ": has " + std::to_string(weights.layers.size()) +
                                         " layers, its config names " + std::to_string(c.num_hidden_layers));
  }
  for (const LayerWeights& layer : weights.layers) {
    check_length(layer.input_layernorm, c.hidden_size, "input_layernorm", path);
    check_length(layer.post_attention_layernorm, c.hidden_size, "post_attention_layernorm", path);
    check_length(layer.q_bias, c.q_size(), "the bias of q_proj", path);
    check_length(layer.k_bias, c.kv_size(), "the bias of k_proj", path);
    check_length(layer.v_bias, c.kv_size(), "the bias of v_proj", path);
    if (c.architecture == Architecture::kQwen2Moe) {
      LECTERN_CHECK(layer.moe.experts.size() == static_cast<size_t>(c.num_experts));
      check_length(layer.moe.shared_expert_gate, c.shared_expert_intermediate_size > 0 ? c.hidden_size : 0,
                   "shared_expert_gate", path);
    }
  }
  check_length(weights.norm, c.hidden_size, "the final norm", path);
}

}  // namespace lectern
