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
  ShapedMatrix source;
  PackedMatrix* target;
  size_t offset = 0;
};

int n_tiles(int rows) {
  return (rows + kRowTile - 1) / kRowTile;
}

}  // namespace

CpuWeights::CpuWeights(std::shared_ptr<const ModelFile> model, const KernelTable& kernels, ThreadPool& pool,
                       const ProgressFn& progress)
    : model_(std::move(model)) {
  const Weights& weights = model_->weights();
  const Qwen2Config& config = model_->config();
  check_vectors(*model_);
  std::vector<PackJob> jobs;  // in the order in which a forward pass reads them
  const auto add = [&](const ShapedMatrix& source, PackedMatrix& target) {
    jobs.push_back({source, &target});
  };
  layers_.resize(weights.layers.size());
  for (size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].source = &weights.layers[l];
    for_matrices(weights.layers[l], config, layers_[l], add);
  }
  add({&weights.lm_head, config.vocab_size, config.hidden_size}, head_);

  size_t total = 0;
  double bytes_per_token = 0;
  Progress report{.stage = "loading", .item = config.name};
  for (PackJob& job : jobs) {
    check_shape(job.source, *model_);
    const Matrix& m = *job.source.matrix;
    const size_t tile_bytes = kernels.row_tile_bytes(m.dtype, m.cols);
    *job.target = {nullptr, m.dtype, m.rows, m.cols, tile_bytes};
    job.offset = total;
    const size_t bytes = static_cast<size_t>(n_tiles(m.rows)) * tile_bytes;
    total += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    bytes_per_token += job.source.share * static_cast<double>(bytes);
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

  for (const PackJob& job : jobs) {
    const Matrix& m = *job.source.matrix;
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
