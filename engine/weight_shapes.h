// The last check of a model's weights before kernels, which trust their arguments, read them.
#pragma once

#include "engine/model_file.h"

namespace lectern {

// The matrices of a model with the shapes that its config gives them, in the order in which a forward pass
// reads them. `share`: of the tokens that pass through it.
struct ShapedMatrix {
  const Matrix* matrix;
  int rows, cols;
  double share = 1.0;
};

// Calls add(ShapedMatrix, place) for each matrix of a feed-forward block, or of a layer, with its place in
// `target`, whose members have the names of the source's (a mixture's directly, not in `moe`).
template <typename Mlp, typename Add>
void for_matrices(const MlpWeights& source, const Qwen2Config& c, int width, double share, Mlp& target,
                  const Add& add) {
  add(ShapedMatrix{&source.gate_proj, width, c.hidden_size, share}, target.gate_proj);
  add(ShapedMatrix{&source.up_proj, width, c.hidden_size, share}, target.up_proj);
  add(ShapedMatrix{&source.down_proj, c.hidden_size, width, share}, target.down_proj);
}

template <typename Layer, typename Add>
void for_matrices(const LayerWeights& source, const Qwen2Config& c, Layer& target, const Add& add) {
  add(ShapedMatrix{&source.q_proj, c.q_size(), c.hidden_size}, target.q_proj);
  add(ShapedMatrix{&source.k_proj, c.kv_size(), c.hidden_size}, target.k_proj);
  add(ShapedMatrix{&source.v_proj, c.kv_size(), c.hidden_size}, target.v_proj);
  add(ShapedMatrix{&source.o_proj, c.hidden_size, c.q_size()}, target.o_proj);
  if (c.architecture != Architecture::kQwen2Moe)
    return for_matrices(source.mlp, c, c.intermediate_size, 1.0, target.mlp, add);
  add(ShapedMatrix{&source.moe.router, c.num_experts, c.hidden_size}, target.router);
  target.experts.resize(source.moe.experts.size());
  const double share = static_cast<double>(c.num_experts_per_tok) / c.num_experts;
  for (size_t e = 0; e < target.experts.size(); ++e)
    for_matrices(source.moe.experts[e], c, c.moe_intermediate_size, share, target.experts[e], add);
  if (c.shared_expert_intermediate_size > 0)
    for_matrices(source.moe.shared_expert, c, c.shared_expert_intermediate_size, 1.0, target.shared_expert,
                 add);
}

// Throws Error(kCorrupt) naming the file and the tensor.
void check_shape(const ShapedMatrix& expected, const ModelFile& model);
// The number of layers, the norms and the biases. Throws Error(kCorrupt).
void check_vectors(const ModelFile& model);

}  // namespace lectern
