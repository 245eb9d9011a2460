#include "tests/support/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <numbers>
#include <numeric>
#include <random>

#include "engine/key_smoothing.h"
#include "engine/kv_layout.h"
#include "kernels/reference/dequantize.h"

namespace lectern::test {
namespace {

class TinyModel final : public ModelFile {
 public:
  const std::filesystem::path& path() const override { return path_; }
  const Qwen2Config& config() const override { return config_; }
  const Weights& weights() const override { return weights_; }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::string quantisation() const override { return kDTypeInfo[static_cast<int>(dtype_)].name; }
  uint64_t file_bytes() const override { return weights_.embed_tokens.data.size(); }  // about
  void release_pages(std::span<const std::byte>) const override {}

  TinyModel(const Qwen2Config& config, DType dtype, uint32_t seed)
      : config_(config), dtype_(dtype), random_(seed) {
    const int h = config.hidden_size;
    weights_.embed_tokens = matrix("embed", config.vocab_size, h, 1.0f);
    for (int l = 0; l < config.num_hidden_layers; ++l) weights_.layers.push_back(layer());
    weights_.norm = vector(h, 0.2f, 1.0f);
    weights_.lm_head =
        config.tie_word_embeddings ? weights_.embed_tokens : matrix("head", config.vocab_size, h, 1.0f);
    fill_vocabulary();
  }

 private:
  LayerWeights layer() {
    const int h = config_.hidden_size, q = config_.q_size(), kv = config_.kv_size();
    LayerWeights w;
    w.input_layernorm = vector(h, 0.2f, 1.0f);
    w.q_proj = matrix("q", q, h, 1.0f);
    w.k_proj = matrix("k", kv, h, 1.0f);
    w.v_proj = matrix("v", kv, h, 1.0f);
    w.q_bias = vector(q, 0.5f, 0.0f);
    w.k_bias = vector(kv, 2.0f, 0.0f);  // large, as Qwen2's are
    w.v_bias = vector(kv, 0.1f, 0.0f);
    w.o_proj = matrix("o", h, q, 1.0f);
    w.post_attention_layernorm = vector(h, 0.2f, 1.0f);
    if (config_.architecture != Architecture::kQwen2Moe) {
      w.mlp = mlp(config_.intermediate_size);
      return w;
    }
    w.moe.router = matrix("router", config_.num_experts, h, 2.0f);
    for (int e = 0; e < config_.num_experts; ++e) {
      w.moe.experts.push_back(mlp(config_.moe_intermediate_size));
    }
    if (config_.shared_expert_intermediate_size == 0) return w;
    w.moe.shared_expert = mlp(config_.shared_expert_intermediate_size);
    w.moe.shared_expert_gate = vector(h, 0.3f, 0.0f);
    return w;
  }

  MlpWeights mlp(int width) {
    const int h = config_.hidden_size;
    return {matrix("gate", width, h, 1.5f), matrix("up", width, h, 1.5f), matrix("down", h, width, 1.0f)};
  }

  Vector vector(int n, float spread, float mean) {
    std::normal_distribution<float> normal(mean, spread);
    Vector result(static_cast<size_t>(n));
    for (float& value : result) value = normal(random_);
    return result;
  }

  // Rows of norm about `gain`.
  Matrix matrix(const char* name, int rows, int cols, float gain) {
    const Vector values = vector(rows * cols, gain / std::sqrt(static_cast<float>(cols)), 0.0f);
    Matrix m{.dtype = dtype_, .rows = rows, .cols = cols, .data = {}, .name = name};
    auto& bytes = storage_.emplace_back(static_cast<size_t>(rows) * m.row_bytes());
    encode(values, bytes.data());
    m.data = bytes;
    return m;
  }

  void encode(const Vector& values, std::byte* out) const {
    for (size_t i = 0; i < values.size(); ++i) {
      uint32_t bits;
      std::memcpy(&bits, &values[i], 4);
      const uint16_t half = float_to_half(values[i]), bf16 = static_cast<uint16_t>(bits >> 16);
      if (dtype_ == DType::kF32) std::memcpy(out + i * 4, &bits, 4);
      if (dtype_ == DType::kF16) std::memcpy(out + i * 2, &half, 2);
      if (dtype_ == DType::kBF16) std::memcpy(out + i * 2, &bf16, 2);
      if (dtype_ == DType::kQ8_0 && i % 32 == 0)
        encode_block(values.data() + i, out + i / 32 * sizeof(BlockQ8_0));
    }
  }

  static void encode_block(const float* values, std::byte* out) {
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(values[i]));
    BlockQ8_0 block;
    block.d = float_to_half(largest / 127.0f);
    const float scale = half_to_float(block.d);
    for (int i = 0; i < 32; ++i) {
      const float q = scale > 0 ? std::round(values[i] / scale) : 0.0f;
      block.qs[i] = static_cast<int8_t>(std::clamp(q, -127.0f, 127.0f));
    }
    std::memcpy(out, &block, sizeof(block));
  }

  // Printable bytes stand for themselves, the others for the characters from U+0100 on.
  void fill_vocabulary() {
    int next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      const int c = printable ? b : next++;
      vocabulary_.tokens.push_back(
          c < 0x80 ? std::string(1, static_cast<char>(c))
                   : std::string{static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))});
      vocabulary_.types.push_back(Vocabulary::TokenType::kNormal);
    }
    for (const char* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
      vocabulary_.tokens.emplace_back(token);
      vocabulary_.types.push_back(Vocabulary::TokenType::kControl);
    }
  }

  std::filesystem::path path_ = "tiny.model";
  Qwen2Config config_;
  DType dtype_;
  std::mt19937 random_;
  std::deque<std::vector<std::byte>> storage_;
  Weights weights_;
  Vocabulary vocabulary_;
};

// -- the equations ------------------------------------------------------------------------------------------

using Row = std::vector<double>;

Row multiply(const Matrix& w, const Row& x, const Vector& bias = {}) {
  std::vector<float> row(static_cast<size_t>(w.cols));
  Row y(static_cast<size_t>(w.rows));
  for (size_t r = 0; r < y.size(); ++r) {
    dequantize(w.dtype, w.data.data() + r * w.row_bytes(), w.cols, row.data());
    y[r] = std::inner_product(row.begin(), row.end(), x.begin(), bias.empty() ? 0.0 : double{bias[r]});
  }
  return y;
}

Row rmsnorm(const Row& x, const Vector& weight, double eps) {
  const double mean = std::inner_product(x.begin(), x.end(), x.begin(), 0.0) / static_cast<double>(x.size());
  Row y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / std::sqrt(mean + eps) * double{weight[i]};
  return y;
}

void add(Row& x, const Row& y, double scale = 1.0) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += scale * y[i];
}

void softmax(Row& x) {
  const double max = *std::max_element(x.begin(), x.end());
  for (double& value : x) value = std::exp(value - max);
  const double sum = std::accumulate(x.begin(), x.end(), 0.0);
  for (double& value : x) value /= sum;
}

void rotate(Row& x, size_t position, size_t head_dim, double theta) {
  for (size_t head = 0; head < x.size(); head += head_dim) {
    for (size_t i = 0; i < head_dim / 2; ++i) {
      const double angle = static_cast<double>(position) *
                           std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
      double &a = x[head + i], &b = x[head + i + head_dim / 2];
      const double rotated = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = rotated;
    }
  }
}

size_t rotation_of_key(size_t position, const Qwen2Config& config) {
  if (!config.dual_chunk_attention) return position;
  return position % static_cast<size_t>(config.dual_chunk_attention->key_chunk_tokens());
}

void round_to_half(Row& x) {
  for (double& value : x) value = half_to_float(float_to_half(static_cast<float>(value)));
}

// Each head of head_dim numbers, times `scales` if there are any, to multiples of a 127th of its largest.
void round_to_int8(Row& x, size_t head_dim, const Vector& scales) {
  for (size_t i = 0; i < scales.size(); ++i) x[i] *= double{scales[i]};
  for (size_t head = 0; head < x.size(); head += head_dim) {
    double largest = 0;
    for (size_t i = 0; i < head_dim; ++i) largest = std::max(largest, std::abs(x[head + i]));
    const double step = largest / 127;
    for (size_t i = 0; i < head_dim; ++i) x[head + i] = std::nearbyint(x[head + i] / step) * step;
  }
  for (size_t i = 0; i < scales.size(); ++i) x[i] /= double{scales[i]};
}

Row mlp(const MlpWeights& w, const Row& x) {
  Row gate = multiply(w.gate_proj, x);
  const Row up = multiply(w.up_proj, x);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1.0 + std::exp(-gate[i]));
  return multiply(w.down_proj, gate);
}

Row moe(const MoeWeights& w, const Row& x, const Qwen2Config& config) {
  Row p = multiply(w.router, x);
  softmax(p);
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  order.resize(static_cast<size_t>(config.num_experts_per_tok));
  double chosen = 0;
  for (const size_t e : order) chosen += p[e];
  Row y(x.size(), 0.0);
  for (const size_t e : order) add(y, mlp(w.experts[e], x), config.norm_topk_prob ? p[e] / chosen : p[e]);
  if (config.shared_expert_intermediate_size == 0) return y;
  const double gate = std::inner_product(x.begin(), x.end(), w.shared_expert_gate.begin(), 0.0);
  add(y, mlp(w.shared_expert, x), 1.0 / (1.0 + std::exp(-gate)));
  return y;
}

// How far the query at i sees the key at j, in Dual Chunk Attention: the true distance within a chunk, and up
// to local_size places into the next one; chunk_size from the key's chunk's beginning elsewhere.
size_t seen_distance(size_t i, size_t j, const DualChunkAttention& dual) {
  const auto chunk = static_cast<size_t>(dual.key_chunk_tokens());
  const bool same = i / chunk == j / chunk, next = i / chunk == j / chunk + 1;
  if (same || (next && i % chunk <= static_cast<size_t>(dual.local_size))) return i - j;
  return static_cast<size_t>(dual.chunk_size) - j % chunk;
}

// q, not rotated, of the last of the tokens whose keys, rotated, and values are given.
Row attend(const Row& q, const Rows& k, const Rows& v, const Qwen2Config& config) {
  const auto d = static_cast<size_t>(config.head_dim), group = static_cast<size_t>(config.group_size());
  const size_t i = k.size() - 1;
  double temperature = 1.0;
  if (const auto& dual = config.dual_chunk_attention; dual && dual->original_max_position_embeddings > 0) {
    const double stretch = static_cast<double>(k.size()) / dual->original_max_position_embeddings;
    temperature = std::max(1.0, 0.1 * std::log(stretch) + 1.0);
  }
  std::map<size_t, Row> rotated;  // q by the position that it is rotated to
  const auto query_for = [&](size_t j) -> const Row& {
    size_t position = i;
    if (const auto& dual = config.dual_chunk_attention)
      position = seen_distance(i, j, *dual) + rotation_of_key(j, config);
    const auto [at, fresh] = rotated.try_emplace(position, q);
    if (fresh) rotate(at->second, position, d, double{config.rope_theta});
    return at->second;
  };
  Row out(q.size(), 0.0);
  for (size_t head = 0; head < q.size() / d; ++head) {
    const size_t at = head / group * d;
    Row scores;
    for (size_t j = 0; j < k.size(); ++j) {
      const Row& query = query_for(j);
      double dot = 0;
      for (size_t n = 0; n < d; ++n) dot += query[head * d + n] * k[j][at + n];
      scores.push_back(temperature * temperature * dot / std::sqrt(static_cast<double>(d)));
    }
    softmax(scores);
    for (size_t j = 0; j < v.size(); ++j) {
      for (size_t n = 0; n < d; ++n) out[head * d + n] += scores[j] * v[j][at + n];
    }
  }
  return out;
}

}  // namespace

Qwen2Config tiny_config() {
  Qwen2Config c;
  c.name = "tiny";
  c.hidden_size = 64;
  c.intermediate_size = 96;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 16;
  c.vocab_size = 272;
  c.rms_norm_eps = 1e-6f;
  c.rope_theta = 10000.0f;
  c.max_position_embeddings = 1024;
  return c;
}

Qwen2Config tiny_moe_config() {
  Qwen2Config c = tiny_config();
  c.architecture = Architecture::kQwen2Moe;
  c.num_experts = 6;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = 32;
  c.shared_expert_intermediate_size = 64;
  return c;
}

std::shared_ptr<ModelFile> make_tiny_model(const Qwen2Config& config, DType dtype, uint32_t seed) {
  return std::make_shared<TinyModel>(config, dtype, seed);
}

ReferencePass reference_forward(const ModelFile& model, std::span<const int32_t> tokens, KvType kv_type) {
  const Qwen2Config& config = model.config();
  const Weights& w = model.weights();
  const double eps = double{config.rms_norm_eps}, theta = double{config.rope_theta};
  ReferencePass pass;
  std::vector<float> embedding(static_cast<size_t>(config.hidden_size));
  for (const int32_t token : tokens) {
    dequantize(w.embed_tokens.dtype,
               w.embed_tokens.data.data() + static_cast<size_t>(token) * w.embed_tokens.row_bytes(),
               config.hidden_size, embedding.data());
    pass.embed.emplace_back(embedding.begin(), embedding.end());
  }
  const auto smoothing = key_smoothing(model, kv_layer_types(config, kv_type));
  Rows x = pass.embed;
  for (const LayerWeights& layer : w.layers) {
    Rows k, v;
    for (size_t t = 0; t < x.size(); ++t) {
      const Row normed = rmsnorm(x[t], layer.input_layernorm, eps);
      const Row q = multiply(layer.q_proj, normed, layer.q_bias);
      k.push_back(multiply(layer.k_proj, normed, layer.k_bias));
      v.push_back(multiply(layer.v_proj, normed, layer.v_bias));
      rotate(k.back(), rotation_of_key(t, config), static_cast<size_t>(config.head_dim), theta);
      const bool outer = pass.output.empty() || pass.output.size() + 1 == w.layers.size();
      const auto round = [&](Row& row, bool bytes, const Vector& scales) {
        if (bytes) {
          round_to_int8(row, static_cast<size_t>(config.head_dim), scales);
        } else {
          round_to_half(row);
        }
      };
      round(k.back(), kv_type == KvType::kInt8 && !outer, smoothing[pass.output.size()].k);
      round(v.back(), kv_type == KvType::kInt8, {});
      add(x[t], multiply(layer.o_proj, attend(q, k, v, config)));
    }
    pass.attention.push_back(x);
    for (Row& row : x) {
      const Row normed = rmsnorm(row, layer.post_attention_layernorm, eps);
      add(row, config.architecture == Architecture::kQwen2Moe ? moe(layer.moe, normed, config)
                                                              : mlp(layer.mlp, normed));
    }
    pass.output.push_back(x);
  }
  for (const Row& row : x) {
    pass.norm.push_back(rmsnorm(row, w.norm, eps));
    pass.logits.push_back(multiply(w.lm_head, pass.norm.back()));
  }
  return pass;
}

}  // namespace lectern::test
