#include "engine/cpu_weights.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/weight_shapes.h"
#include "kernels/reference/dequantize.h"

namespace lectern {
namespace {

constexpr size_t kAlignment = 64;

struct PackJob {
  const Matrix* source;
  PackedMatrix* target;
  int rows, cols;      // as the config says
  double share = 1.0;  // of the tokens that pass through it
  size_t offset = 0;
};

int n_tiles(int rows) {
  return (rows + kRowTile - 1) / kRowTile;
}

// The list of what is to be packed, in the order in which a forward pass reads it.
class PackList {
 public:
  explicit PackList(const Qwen2Config& config) : config_(config) {}

  void add(const Matrix& source, int rows, int cols, PackedMatrix& target, double share = 1.0) {
    jobs.push_back({&source, &target, rows, cols, share});
  }
  void add_mlp(const MlpWeights& source, int width, CpuMlp& target, double share = 1.0) {
    add(source.gate_proj, width, config_.hidden_size, target.gate_proj, share);
    add(source.up_proj, width, config_.hidden_size, target.up_proj, share);
    add(source.down_proj, config_.hidden_size, width, target.down_proj, share);
  }
  void add_layer(const LayerWeights& source, CpuLayer& target) {
    const Qwen2Config& c = config_;
    target.source = &source;
    add(source.q_proj, c.q_size(), c.hidden_size, target.q_proj);
    add(source.k_proj, c.kv_size(), c.hidden_size, target.k_proj);
    add(source.v_proj, c.kv_size(), c.hidden_size, target.v_proj);
    add(source.o_proj, c.hidden_size, c.q_size(), target.o_proj);
    if (c.architecture != Architecture::kQwen2Moe) {
      add_mlp(source.mlp, c.intermediate_size, target.mlp);
      return;
    }
    add(source.moe.router, c.num_experts, c.hidden_size, target.router);
    target.experts.resize(source.moe.experts.size());
    const double share = static_cast<double>(c.num_experts_per_tok) / c.num_experts;
    for (size_t e = 0; e < target.experts.size(); ++e) {
      add_mlp(source.moe.experts[e], c.moe_intermediate_size, target.experts[e], share);
    }
    if (c.shared_expert_intermediate_size > 0) {
      add_mlp(source.moe.shared_expert, c.shared_expert_intermediate_size, target.shared_expert);
    }
  }

  std::vector<PackJob> jobs;

 private:
  const Qwen2Config& config_;
};

}  // namespace

CpuWeights::CpuWeights(std::shared_ptr<const ModelFile> model, const KernelTable& kernels, ThreadPool& pool,
                       const ProgressFn& progress)
    : model_(std::move(model)) {
  const Weights& weights = model_->weights();
  const Qwen2Config& config = model_->config();
  check_vectors(*model_);
  PackList list(config);
  layers_.resize(weights.layers.size());
  for (size_t l = 0; l < layers_.size(); ++l) list.add_layer(weights.layers[l], layers_[l]);
  list.add(weights.lm_head, config.vocab_size, config.hidden_size, head_);

  size_t total = 0;
  double bytes_per_token = 0;
  Progress report{.stage = "loading", .item = config.name};
  for (PackJob& job : list.jobs) {
    check_shape({job.source, job.rows, job.cols}, *model_);
    const Matrix& m = *job.source;
    const size_t tile_bytes = kernels.row_tile_bytes(m.dtype, m.cols);
    *job.target = {nullptr, m.dtype, m.rows, m.cols, tile_bytes};
    job.offset = total;
    const size_t bytes = static_cast<size_t>(n_tiles(m.rows)) * tile_bytes;
    total += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    bytes_per_token += job.share * static_cast<double>(bytes);
    report.bytes_total += m.data.size();
  }
  bytes_per_token_ = static_cast<uint64_t>(bytes_per_token);
  const int64_t available = available_memory_bytes();
  if (total > static_cast<uint64_t>(available)) {
    throw Error(ErrorCode::kResourceExhausted,
                model_->path().string() + ": the weights need " + describe_bytes(static_cast<double>(total)) +
                    " of memory and " + describe_bytes(static_cast<double>(available)) +
                    " are available; close other programs or use a smaller model");
  }
  memory_ = AnonymousMemory(total, "the weights of " + model_->path().string());

  for (const PackJob& job : list.jobs) {
    const Matrix& m = *job.source;
    std::byte* target = memory_.data() + job.offset;
    job.target->data = target;
    const int tiles = n_tiles(m.rows);
    const int tiles_per_task = std::max(1, tiles / (pool.size() * 8));
    pool.run((tiles + tiles_per_task - 1) / tiles_per_task, [&](int task, int) {
      const int begin = task * tiles_per_task;
      kernels.pack(m.dtype, m.data.data(), m.rows, m.cols, begin, std::min(tiles, begin + tiles_per_task),
                   target);
    });
    model_->release_pages(m.data);
    report.bytes_done += m.data.size();
    if (progress) progress(report);
  }
}

void CpuWeights::embed(int32_t token, float* hidden) const {
  const Matrix& table = model_->weights().embed_tokens;
  dequantize(table.dtype, table.data.data() + static_cast<size_t>(token) * table.row_bytes(), table.cols,
             hidden);
}

}  // namespace lectern
