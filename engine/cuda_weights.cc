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

struct MatrixJob {
  ShapedMatrix source;
  CudaMatrix* target;
};
struct VectorJob {
  const Vector* source;
  const float** target;
};

}  // namespace

CudaWeights::CudaWeights(std::shared_ptr<const ModelFile> model, const std::vector<KeySmoothing>& smoothing,
                         cudaStream_t stream, const ProgressFn& progress)
    : model_(std::move(model)) {
  const Weights& weights = model_->weights();
  const Qwen2Config& config = model_->config();
  check_vectors(*model_);
  std::vector<MatrixJob> jobs;  // in the order in which a forward pass reads them
  std::vector<VectorJob> vectors = {{&weights.norm, &norm_}};
  const auto add = [&](const ShapedMatrix& source, CudaMatrix& target) { jobs.push_back({source, &target}); };
  layers_.resize(weights.layers.size());
  for (size_t l = 0; l < layers_.size(); ++l) {
    const LayerWeights& source = weights.layers[l];
    CudaLayer& target = layers_[l];
    for_matrices(source, config, target, add);
    for (const VectorJob& vector : {VectorJob{&source.input_layernorm, &target.input_layernorm},
                                    {&source.q_bias, &target.q_bias},
                                    {&source.k_bias, &target.k_bias},
                                    {&source.v_bias, &target.v_bias},
                                    {&smoothing[l].q, &target.q_scale},
                                    {&smoothing[l].k, &target.k_scale},
                                    {&source.post_attention_layernorm, &target.post_attention_layernorm},
                                    {&source.moe.shared_expert_gate, &target.shared_expert_gate}})
      if (!vector.source->empty()) vectors.push_back(vector);
  }
  add({&weights.lm_head, config.vocab_size, config.hidden_size}, head_);
  for (const MatrixJob& job : jobs) matrices_.push_back(job.target);
  const bool tied = weights.lm_head.data.data() == weights.embed_tokens.data.data();
  if (!tied) add({&weights.embed_tokens, config.vocab_size, config.hidden_size, 0.0}, embed_tokens_);

  size_t total = 0;
  double bytes_per_token = 0;
  Progress report{.stage = "loading", .item = config.name};
  for (const auto& [source, target] : jobs) {
    check_shape(source, *model_);
    total += aligned(source.matrix->data.size());
    bytes_per_token += source.share * static_cast<double>(source.matrix->data.size());
    report.bytes_total += source.matrix->data.size();
  }
  for (const auto& [source, target] : vectors) total += aligned(source->size() * sizeof(float));
  bytes_per_token_ = static_cast<uint64_t>(bytes_per_token);
  memory_ = DeviceMemory(total, "the weights of " + model_->path().string());

  Upload upload(stream);
  std::byte* next = memory_.data();
  const auto place = [&](const void* from, size_t bytes) {
    std::byte* at = std::exchange(next, next + aligned(bytes));
    upload.copy(from, bytes, at);
    return at;
  };
  for (const auto& [source, target] : vectors)
    *target = reinterpret_cast<const float*>(place(source->data(), source->size() * sizeof(float)));
  for (const auto& [source, target] : jobs) {
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

void CudaWeights::round_to_e4m3(cudaStream_t stream) {
  // The head stays as it is: its logits are the result. So do the routers of a mixture: they are small, and
  // what they decide is not mended by what follows.
  const auto stays = [&](const CudaMatrix& m) {
    return &m == &head_ || std::any_of(layers_.begin(), layers_.end(),
                                       [&](const CudaLayer& layer) { return &m == &layer.router; });
  };
  const auto fits = [&](const CudaMatrix& m) { return m.rows % 16 == 0 && m.cols % 16 == 0 && !stays(m); };
  const auto elements = [](const CudaMatrix& m) {
    return static_cast<size_t>(m.rows) * static_cast<size_t>(m.cols);
  };
  size_t total = 0, largest = 0;
  for (const CudaMatrix* m : matrices_) {
    if (!fits(*m)) continue;
    total += aligned(elements(*m)) + aligned(static_cast<size_t>(m->rows) * sizeof(float));
    largest = std::max(largest, elements(*m));
  }
  rounded_ = DeviceMemory(total, "the weights in 8-bit floats");
  const DeviceMemory expanded(largest * sizeof(__nv_bfloat16), "an expanded matrix");
  std::byte* next = rounded_.data();
  for (CudaMatrix* m : matrices_) {
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
  for (const CudaMatrix* m : matrices_)
    if (m->bf16 == nullptr && m->e4m3 == nullptr)
      total += aligned(size_t{2} * static_cast<size_t>(m->rows) * static_cast<size_t>(m->cols));
  if (total == 0 || total > bytes) return;
  expanded_ = DeviceMemory(total, "the expanded weights");
  std::byte* next = expanded_.data();
  for (CudaMatrix* m : matrices_) {
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
  for (const CudaMatrix* m : matrices_)
    if (m->bf16 == nullptr && m->e4m3 == nullptr)
      largest = std::max(largest, static_cast<size_t>(m->rows) * static_cast<size_t>(m->cols));
  return largest;
}

}  // namespace lectern
