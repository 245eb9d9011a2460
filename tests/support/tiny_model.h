// A small random Qwen2 that exists in memory only, and its forward pass in double precision written straight
// from the equations: what the engine's tests compare with.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/model_file.h"

namespace lectern::test {

// hidden 64, 3 layers, 4 query heads in groups of 2, head_dim 16, 272 vocabulary rows: 256 byte tokens, then
// <|endoftext|>, <|im_start|>, <|im_end|>, then padding.
Qwen2Config tiny_config();
Qwen2Config tiny_moe_config();  // 6 experts, 2 a token

// `dtype` of all matrices: kF32, kF16, kBF16 or kQ8_0. The same seed gives the same weights.
std::shared_ptr<ModelFile> make_tiny_model(const Qwen2Config& config, DType dtype = DType::kF32,
                                           uint32_t seed = 1);

using Rows = std::vector<std::vector<double>>;  // [n_tokens][...]
struct ReferencePass {
  Rows embed;
  std::vector<Rows> attention, output;  // by layer: the residual after attention, after the whole layer
  Rows norm, logits;
};
// K and V are rounded as a cache of `kv_type` stores them.
ReferencePass reference_forward(const ModelFile& model, std::span<const int32_t> tokens,
                                KvType kv_type = KvType::kF16);

}  // namespace lectern::test
