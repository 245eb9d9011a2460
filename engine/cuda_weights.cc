#include "engine/cuda_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "engine/memory.h"
#include "engine/weight_shapes.h"
#include "kernels/cuda/cuda_kernels.h"

namespace lectern {
namespace {

// What cudaMalloc promises, so that kernels may load as widely as the formats allow.
constexpr size_t kAlignment = 256;
constexpr size_t kUploadBytes = size_t{32} << 20;

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Through two pinned buffers by turns: one is filled while the other is on its way.
class Upload {
 public:
  explicit Upload(cudaStream_t stream) : stream_(stream) {
    for (PinnedMemory& buffer : buffers_) buffer = PinnedMemory(kUploadBytes);
  }
  ~Upload() { cudaStreamSynchronize(stream_); }

  void copy(const void* from, size_t bytes, std::byte* to) {
    const auto* source = static_cast<const std::byte*>(from);
    for (size_t done = 0; done < bytes;) {
      const size_t n = std::min(bytes - done, kUploadBytes);
      check_cuda(cudaEventSynchronize(sent_[turn_]), "copy weights");
      std::memcpy(buffers_[turn_].data(), source + done, n);
      check_cuda(cudaMemcpyAsync(to + done, buffers_[turn_].data(), n, cudaMemcpyHostToDevice, stream_),
                 "copy weights");
      check_cuda(cudaEventRecord(sent_[turn_], stream_), "copy weights");
      turn_ = 1 - turn_;
      done += n;
    }
  }

 private:
  cudaStream_t stream_;
  std::array<PinnedMemory, 2> buffers_;
  std::array<CudaEvent, 2> sent_;
  size_t turn_ = 0;
};

// The list of what is to be copied, in the order in which a forward pass reads it.
class CopyList {
 public:
  struct MatrixJob {
    ShapedMatrix source;
    CudaMatrix* target;
  };
  struct VectorJob {
    const Vector* source;
    const float** target;
  };

  explicit CopyList(const Qwen2Config& config) : config_(config) {}

  void add(const Matrix& source, int rows, int cols, CudaMatrix& target, double share = 1.0) {
    matrices.push_back({{&source, rows, cols, share}, &target});
  }
  void add(const Vector& source, const float*& target) { vectors.push_back({&source, &target}); }
  void add_mlp(const MlpWeights& source, int width, CudaMlp& target, double share = 1.0) {
    add(source.gate_proj, width, config_.hidden_size, target.gate_proj, share);
    add(source.up_proj, width, config_.hidden_size, target.up_proj, share);
    add(source.down_proj, config_.hidden_size, width, target.down_proj, share);
  }
  void add_layer(const LayerWeights& source, CudaLayer& target) {
    const Qwen2Config& c = config_;
    add(source.input_layernorm, target.input_layernorm);
    add(source.q_proj, c.q_size(), c.hidden_size, target.q_proj);
    add(source.k_proj, c.kv_size(), c.hidden_size, target.k_proj);
    add(source.v_proj, c.kv_size(), c.hidden_size, target.v_proj);
    add(source.q_bias, target.q_bias);
    add(source.k_bias, target.k_bias);
    add(source.v_bias, target.v_bias);
    add(source.o_proj, c.hidden_size, c.q_size(), target.o_proj);
    add(source.post_attention_layernorm, target.post_attention_layernorm);
    if (c.architecture != Architecture::kQwen2Moe) {
      add_mlp(source.mlp, c.intermediate_size, target.mlp);
      return;
    }
    add(source.moe.router, c.num_experts, c.hidden_size, target.router);
    target.experts.resize(source.moe.experts.size());
    const double share = static_cast<double>(c.num_experts_per_tok) / c.num_experts;
    for (size_t e = 0; e < target.experts.size(); ++e)
      add_mlp(source.moe.experts[e], c.moe_intermediate_size, target.experts[e], share);
    if (c.shared_expert_intermediate_size > 0) {
      add_mlp(source.moe.shared_expert, c.shared_expert_intermediate_size, target.shared_expert);
      add(source.moe.shared_expert_gate, target.shared_expert_gate);
    }
  }

  std::vector<MatrixJob> matrices;
  std::vector<VectorJob> vectors;

 private:
  const Qwen2Config& config_;
};

}  // namespace

CudaWeights::CudaWeights(std::shared_ptr<const ModelFile> model, cudaStream_t stream,
                         const ProgressFn& progress)
    : model_(std::move(model)) {
  const Weights& weights = model_->weights();
  const Qwen2Config& config = model_->config();
  check_vectors(*model_);
  CopyList list(config);
  layers_.resize(weights.layers.size());
  for (size_t l = 0; l < layers_.size(); ++l) list.add_layer(weights.layers[l], layers_[l]);
  list.add(weights.norm, norm_);
  list.add(weights.lm_head, config.vocab_size, config.hidden_size, head_);
  const bool tied = weights.lm_head.data.data() == weights.embed_tokens.data.data();
  if (!tied) list.add(weights.embed_tokens, config.vocab_size, config.hidden_size, embed_tokens_, 0.0);

  size_t total = 0;
  double bytes_per_token = 0;
  Progress report{.stage = "loading", .item = config.name};
  for (const auto& [source, target] : list.matrices) {
    check_shape(source, *model_);
    total += aligned(source.matrix->data.size());
    bytes_per_token += source.share * static_cast<double>(source.matrix->data.size());
    report.bytes_total += source.matrix->data.size();
  }
  for (const auto& [source, target] : list.vectors) total += aligned(source->size() * sizeof(float));
  bytes_per_token_ = static_cast<uint64_t>(bytes_per_token);
  memory_ = DeviceMemory(total, "the weights of " + model_->path().string());

  Upload upload(stream);
  std::byte* next = memory_.data();
  const auto place = [&](const void* from, size_t bytes) {
    std::byte* at = std::exchange(next, next + aligned(bytes));
    upload.copy(from, bytes, at);
    return at;
  };
  for (const auto& [source, target] : list.vectors)
    *target = reinterpret_cast<const float*>(place(source->data(), source->size() * sizeof(float)));
  for (const auto& [source, target] : list.matrices) {
    const Matrix& m = *source.matrix;
    const std::byte* at = place(m.data.data(), m.data.size());
    *target = {.dtype = m.dtype, .rows = m.rows, .cols = m.cols, .data = at};
    if (m.dtype == DType::kBF16) target->bf16 = reinterpret_cast<const __nv_bfloat16*>(at);
    model_->release_pages(m.data);
    report.bytes_done += m.data.size();
    if (progress) progress(report);
  }
  if (tied) embed_tokens_ = head_;
}

std::vector<CudaMatrix*> CudaWeights::matrices() {
  std::vector<CudaMatrix*> all;
  const auto add = [&](CudaMatrix& m) {
    if (m.rows > 0) all.push_back(&m);
  };
  const auto add_mlp = [&](CudaMlp& mlp) {
    for (CudaMatrix* m : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) add(*m);
  };
  for (CudaLayer& layer : layers_) {
    for (CudaMatrix* m : {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj, &layer.router}) add(*m);
    add_mlp(layer.mlp);
    for (CudaMlp& expert : layer.experts) add_mlp(expert);
    add_mlp(layer.shared_expert);
  }
  add(head_);
  return all;
}

void CudaWeights::round_to_e4m3(cudaStream_t stream) {
  // The head stays as it is: its logits are the result.
  const auto fits = [&](const CudaMatrix& m) { return m.rows % 16 == 0 && m.cols % 16 == 0 && &m != &head_; };
  const auto elements = [](const CudaMatrix& m) {
    return static_cast<size_t>(m.rows) * static_cast<size_t>(m.cols);
  };
  size_t total = 0, largest = 0;
  for (const CudaMatrix* m : matrices()) {
    if (!fits(*m)) continue;
    total += aligned(elements(*m)) + aligned(static_cast<size_t>(m->rows) * sizeof(float));
    largest = std::max(largest, elements(*m));
  }
  rounded_ = DeviceMemory(total, "the weights in 8-bit floats");
  const DeviceMemory expanded(largest * sizeof(__nv_bfloat16), "an expanded matrix");
  std::byte* next = rounded_.data();
  for (CudaMatrix* m : matrices()) {
    if (!fits(*m)) continue;
    const __nv_bfloat16* values = m->bf16;
    if (values == nullptr) {
      auto* out = reinterpret_cast<__nv_bfloat16*>(expanded.data());
      cuda::expand(m->dtype, m->data, int64_t{m->rows} * m->cols, out, stream);
      values = out;
    }
    auto* bytes = reinterpret_cast<uint8_t*>(std::exchange(next, next + aligned(elements(*m))));
    auto* scales = reinterpret_cast<float*>(
        std::exchange(next, next + aligned(static_cast<size_t>(m->rows) * sizeof(float))));
    cuda::quantize_e4m3(values, m->rows, m->cols, bytes, scales, stream);
    m->e4m3 = bytes;
    m->scales = scales;
  }
  check_cuda(cudaStreamSynchronize(stream), "round the weights");
}

void CudaWeights::expand_within(size_t bytes, cudaStream_t stream) {
  size_t total = 0;
  for (const CudaMatrix* m : matrices())
    if (m->bf16 == nullptr && m->e4m3 == nullptr)
      total += aligned(size_t{2} * static_cast<size_t>(m->rows) * static_cast<size_t>(m->cols));
  if (total == 0 || total > bytes) return;
  expanded_ = DeviceMemory(total, "the expanded weights");
  std::byte* next = expanded_.data();
  for (CudaMatrix* m : matrices()) {
    if (m->bf16 != nullptr || m->e4m3 != nullptr) continue;
    auto* out = reinterpret_cast<__nv_bfloat16*>(next);
    cuda::expand(m->dtype, m->data, int64_t{m->rows} * m->cols, out, stream);
    m->bf16 = out;
    next += aligned(size_t{2} * static_cast<size_t>(m->rows) * static_cast<size_t>(m->cols));
  }
  if (embed_tokens_.data == head_.data) embed_tokens_ = head_;
}

size_t CudaWeights::largest_unexpanded() const {
  size_t largest = 0;
  for (const CudaMatrix* m : const_cast<CudaWeights*>(this)->matrices())
    if (m->bf16 == nullptr && m->e4m3 == nullptr)
      largest = std::max(largest, static_cast<size_t>(m->rows) * static_cast<size_t>(m->cols));
  return largest;
}

}  // namespace lectern
