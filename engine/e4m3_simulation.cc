#include "engine/e4m3_simulation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/cpu_backend.h"
#include "engine/memory.h"
#include "kernels/common/e4m3.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/reference/dequantize.h"

namespace lectern {
namespace {

void round_row(const float* x, int n, float* out) {
  float most = 0;
  for (int i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
  const float scale = e4m3_scale(most);
  for (int i = 0; i < n; ++i) out[i] = scale * e4m3_to_float(float_to_e4m3(x[i] / scale));
}

class ExpandedModel final : public ModelFile {
 public:
  ExpandedModel(std::shared_ptr<const ModelFile> model, bool round_to_e4m3)
      : model_(std::move(model)), weights_(model_->weights()) {
    for (LayerWeights& layer : weights_.layers) {
      for (Matrix* m : {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj})
        expand(*m, round_to_e4m3);
      expand(layer.mlp, round_to_e4m3);
      for (MlpWeights& expert : layer.moe.experts) expand(expert, round_to_e4m3);
      expand(layer.moe.shared_expert, round_to_e4m3);
    }
  }

  const std::filesystem::path& path() const override { return model_->path(); }
  const Qwen2Config& config() const override { return model_->config(); }
  const Weights& weights() const override { return weights_; }
  const Vocabulary& vocabulary() const override { return model_->vocabulary(); }
  std::string quantisation() const override { return model_->quantisation(); }
  uint64_t file_bytes() const override { return model_->file_bytes(); }
  void release_pages(std::span<const std::byte>) const override {}

 private:
  void expand(MlpWeights& mlp, bool round_to_e4m3) {
    for (Matrix* m : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) expand(*m, round_to_e4m3);
  }
  void expand(Matrix& m, bool round_to_e4m3) {
    if (m.empty()) return;
    const auto rows = static_cast<size_t>(m.rows), cols = static_cast<size_t>(m.cols);
    AnonymousMemory memory(rows * cols * sizeof(float), m.name + " in float");
    auto* values = reinterpret_cast<float*>(memory.data());
    for (size_t row = 0; row < rows; ++row) {
      float* out = values + row * cols;
      dequantize(m.dtype, m.data.data() + row * m.row_bytes(), m.cols, out);
      if (round_to_e4m3) round_row(out, m.cols, out);
    }
    m.dtype = DType::kF32;
    m.data = {memory.data(), memory.size()};
    memory_.push_back(std::move(memory));
  }

  std::shared_ptr<const ModelFile> model_;
  Weights weights_;
  std::vector<AnonymousMemory> memory_;
};

// The kernels of the active bundle, but what a matrix of floats reads is rounded first. (So is what the head
// reads, and the router of a mixture of experts, where the file holds it in floats.)
const KernelTable& rounding_kernels() {
  static const KernelTable table = [] {
    KernelTable kernels = active_kernel_table();
    kernels.quantize = [](DType dtype, const float* x, int64_t x_stride, int32_t n_tokens, int32_t cols,
                          int32_t token_begin, int32_t token_end, void* dst) {
      const KernelTable& active = active_kernel_table();
      if (dtype != DType::kF32) {
        active.quantize(dtype, x, x_stride, n_tokens, cols, token_begin, token_end, dst);
        return;
      }
      std::vector<float> rounded(static_cast<size_t>(token_end) * static_cast<size_t>(cols));
      for (int32_t token = token_begin; token < token_end; ++token)
        round_row(x + token * x_stride, cols, rounded.data() + int64_t{token} * cols);
      active.quantize(dtype, rounded.data(), cols, n_tokens, cols, token_begin, token_end, dst);
    };
    return kernels;
  }();
  return table;
}

}  // namespace

std::shared_ptr<const ModelFile> expanded_model(std::shared_ptr<const ModelFile> model, bool round_to_e4m3) {
  return std::make_shared<ExpandedModel>(std::move(model), round_to_e4m3);
}

std::unique_ptr<Backend> make_e4m3_simulation(std::shared_ptr<const ModelFile> model,
                                              E4m3Simulation simulation, const BackendOptions& options,
                                              const ProgressFn& progress) {
  const bool activations = simulation == E4m3Simulation::kWeightsAndActivations;
  return std::make_unique<CpuBackend>(expanded_model(std::move(model), simulation != E4m3Simulation::kNone),
                                      activations ? rounding_kernels() : active_kernel_table(), options,
                                      progress);
}

}  // namespace lectern
