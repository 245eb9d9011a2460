#include "engine/weights.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/error.h"
#include "kernels/reference/dequantize.h"

namespace lectern {
namespace {

struct MlpNames {
  const char *gate_proj, *up_proj, *down_proj;
};

// Names inside a layer follow `layer` and the layer's number.
struct Names {
  const char *embed_tokens, *norm, *lm_head;
  const char* layer;
  const char *input_layernorm, *post_attention_layernorm;
  const char *q_proj, *k_proj, *v_proj, *q_bias, *k_bias, *v_bias, *o_proj;
  MlpNames mlp;
  const char* router;
  MlpNames experts;  // GGUF: one 3-D tensor a layer; Hugging Face: follows ".mlp.experts." and the number
  MlpNames shared_expert;
  const char* shared_expert_gate;
};

constexpr Names kGgufNames = {
    "token_embd.weight",
    "output_norm.weight",
    "output.weight",
    "blk.",
    ".attn_norm.weight",
    ".ffn_norm.weight",
    ".attn_q.weight",
    ".attn_k.weight",
    ".attn_v.weight",
    ".attn_q.bias",
    ".attn_k.bias",
    ".attn_v.bias",
    ".attn_output.weight",
    {".ffn_gate.weight", ".ffn_up.weight", ".ffn_down.weight"},
    ".ffn_gate_inp.weight",
    {".ffn_gate_exps.weight", ".ffn_up_exps.weight", ".ffn_down_exps.weight"},
    {".ffn_gate_shexp.weight", ".ffn_up_shexp.weight", ".ffn_down_shexp.weight"},
    ".ffn_gate_inp_shexp.weight",
};

constexpr Names kHuggingFaceNames = {
    "model.embed_tokens.weight",
    "model.norm.weight",
    "lm_head.weight",
    "model.layers.",
    ".input_layernorm.weight",
    ".post_attention_layernorm.weight",
    ".self_attn.q_proj.weight",
    ".self_attn.k_proj.weight",
    ".self_attn.v_proj.weight",
    ".self_attn.q_proj.bias",
    ".self_attn.k_proj.bias",
    ".self_attn.v_proj.bias",
    ".self_attn.o_proj.weight",
    {".mlp.gate_proj.weight", ".mlp.up_proj.weight", ".mlp.down_proj.weight"},
    ".mlp.gate.weight",
    {".gate_proj.weight", ".up_proj.weight", ".down_proj.weight"},
    {".mlp.shared_expert.gate_proj.weight", ".mlp.shared_expert.up_proj.weight",
     ".mlp.shared_expert.down_proj.weight"},
    ".mlp.shared_expert_gate.weight",
};

const Names& names_of(TensorNaming naming) {
  return naming == TensorNaming::kGguf ? kGgufNames : kHuggingFaceNames;
}

class Binder {
 public:
  Binder(const Qwen2Config& config, const TensorTable& tensors, TensorNaming naming,
         const std::string& origin)
      : config_(config), tensors_(tensors), naming_(naming), names_(names_of(naming)), origin_(origin) {}

  Weights bind() {
    Weights weights;
    weights.embed_tokens = matrix(names_.embed_tokens, config_.vocab_size, config_.hidden_size);
    for (int i = 0; i < config_.num_hidden_layers; ++i) weights.layers.push_back(layer(i));
    weights.norm = vector(names_.norm, config_.hidden_size);
    weights.lm_head = config_.tie_word_embeddings
                          ? weights.embed_tokens
                          : matrix(names_.lm_head, config_.vocab_size, config_.hidden_size);
    refuse_unbound();
    return weights;
  }

 private:
  LayerWeights layer(int index) {
    const std::string prefix = names_.layer + std::to_string(index);
    const int h = config_.hidden_size, q = config_.q_size(), kv = config_.kv_size();
    LayerWeights layer;
    layer.input_layernorm = vector(prefix + names_.input_layernorm, h);
    layer.q_proj = matrix(prefix + names_.q_proj, q, h);
    layer.k_proj = matrix(prefix + names_.k_proj, kv, h);
    layer.v_proj = matrix(prefix + names_.v_proj, kv, h);
    layer.q_bias = vector(prefix + names_.q_bias, q);
    layer.k_bias = vector(prefix + names_.k_bias, kv);
    layer.v_bias = vector(prefix + names_.v_bias, kv);
    layer.o_proj = matrix(prefix + names_.o_proj, h, q);
    layer.post_attention_layernorm = vector(prefix + names_.post_attention_layernorm, h);
    if (config_.architecture == Architecture::kQwen2)
      layer.mlp = mlp(prefix, names_.mlp, config_.intermediate_size);
    else
      layer.moe = moe(prefix);
    return layer;
  }

  MlpWeights mlp(const std::string& prefix, const MlpNames& names, int intermediate) {
    return {matrix(prefix + names.gate_proj, intermediate, config_.hidden_size),
            matrix(prefix + names.up_proj, intermediate, config_.hidden_size),
            matrix(prefix + names.down_proj, config_.hidden_size, intermediate)};
  }

  MoeWeights moe(const std::string& prefix) {
    MoeWeights moe;
    moe.router = matrix(prefix + names_.router, config_.num_experts, config_.hidden_size);
    moe.experts = naming_ == TensorNaming::kGguf ? stacked_experts(prefix) : single_experts(prefix);
    if (config_.shared_expert_intermediate_size > 0) {
      moe.shared_expert = mlp(prefix, names_.shared_expert, config_.shared_expert_intermediate_size);
      moe.shared_expert_gate = vector(prefix + names_.shared_expert_gate, config_.hidden_size);
    }
    return moe;
  }

  std::vector<MlpWeights> single_experts(const std::string& prefix) {
    std::vector<MlpWeights> experts;
    for (int e = 0; e < config_.num_experts; ++e) {
      experts.push_back(
          mlp(prefix + ".mlp.experts." + std::to_string(e), names_.experts, config_.moe_intermediate_size));
    }
    return experts;
  }

  std::vector<MlpWeights> stacked_experts(const std::string& prefix) {
    const int h = config_.hidden_size, m = config_.moe_intermediate_size;
    const std::vector<Matrix> gate = stack(prefix + names_.experts.gate_proj, m, h);
    const std::vector<Matrix> up = stack(prefix + names_.experts.up_proj, m, h);
    const std::vector<Matrix> down = stack(prefix + names_.experts.down_proj, h, m);
    std::vector<MlpWeights> experts;
    for (size_t e = 0; e < gate.size(); ++e) experts.push_back({gate[e], up[e], down[e]});
    return experts;
  }

  // Views of the E matrices of a 3-D tensor [E, rows, cols].
  std::vector<Matrix> stack(const std::string& name, int rows, int cols) {
    const int n = config_.num_experts;
    const TensorView& tensor = take(name);
    require_shape(name, tensor, {as_dim(n), as_dim(rows), as_dim(cols)});
    std::vector<Matrix> matrices;
    const size_t bytes = tensor.data.size() / static_cast<size_t>(n);
    for (int e = 0; e < n; ++e) {
      matrices.push_back({tensor.dtype, rows, cols,
                          tensor.data.subspan(static_cast<size_t>(e) * bytes, bytes),
                          name + "[" + std::to_string(e) + "]"});
    }
    return matrices;
  }

  Matrix matrix(const std::string& name, int rows, int cols) {
    const TensorView& tensor = take(name);
    require_shape(name, tensor, {as_dim(rows), as_dim(cols)});
    return {tensor.dtype, rows, cols, tensor.data, name};
  }

  // [n], or [1, n] as some writers keep it.
  Vector vector(const std::string& name, int n) {
    const TensorView& tensor = take(name);
    if (tensor.shape != std::vector<uint64_t>{1, as_dim(n)}) require_shape(name, tensor, {as_dim(n)});
    Vector values(static_cast<size_t>(n));
    dequantize(tensor.dtype, tensor.data.data(), n, values.data());
    return values;
  }

  static uint64_t as_dim(int n) { return static_cast<uint64_t>(n); }

  const TensorView& take(const std::string& name) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
      throw Error(ErrorCode::kCorrupt, origin_ + ": tensor " + quote(name) + " is missing");
    bound_.insert(found->first);
    return found->second;
  }

  void require_shape(const std::string& name, const TensorView& tensor,
                     const std::vector<uint64_t>& expected) const {
    if (tensor.shape == expected) return;
    throw Error(ErrorCode::kCorrupt, origin_ + ": tensor " + quote(name) + " has the shape " +
                                         describe_shape(tensor.shape) +
                                         "; the model's configuration asks for " + describe_shape(expected));
  }

  void refuse_unbound() const {
    for (const auto& [name, tensor] : tensors_) {
      if (bound_.count(name) > 0) continue;
      // Leftovers that hold nothing of their own: a head that repeats the embedding, and rotation tables.
      if (naming_ == TensorNaming::kHuggingFace &&
          ((config_.tie_word_embeddings && name == names_.lm_head) || name.ends_with(".rotary_emb.inv_freq")))
        continue;
      throw Error(ErrorCode::kUnsupported, origin_ + ": tensor " + quote(name) +
                                               " has no place in a Qwen2 model; the file holds another model "
                                               "or a variant that Lectern does not run");
    }
  }

  const Qwen2Config& config_;
  const TensorTable& tensors_;
  const TensorNaming naming_;
  const Names& names_;
  const std::string& origin_;
  std::set<std::string_view> bound_;
};

}  // namespace

Weights bind_weights(const Qwen2Config& config, const TensorTable& tensors, TensorNaming naming,
                     const std::string& origin) {
  return Binder(config, tensors, naming, origin).bind();
}

std::string_view embedding_name(TensorNaming naming) {
  return names_of(naming).embed_tokens;
}
std::string_view head_name(TensorNaming naming) {
  return names_of(naming).lm_head;
}

}  // namespace lectern
