// The forward pass on the CPU: the equations of Qwen2 in terms of the kernels of one bundle (cpu_ops.h).
// Activations are float rows, [n_tokens, n] each; matmuls read them quantised. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/batch.h"
#include "engine/cpu_kv.h"
#include "engine/cpu_ops.h"
#include "engine/cpu_weights.h"
#include "engine/key_smoothing.h"
#include "engine/rope.h"
#include "engine/scratch_arena.h"
#include "engine/vertical_slash.h"

namespace lectern {

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::shared_ptr<const ModelFile> model, const KernelTable& kernels,
             const BackendOptions& options, const ProgressFn& progress);

  const Qwen2Config& config() const override { return config_; }
  std::string describe() const override;
  KvPagePool& kv_pages() override { return kv_.pool(); }
  void copy_kv(KvPageId from, KvPageId to, int n) override {
    kv_.layout().copy(kv_.page(from), n, kv_.page(to));
  }
  const std::vector<KvLayerTypes>& kv_types() const override { return kv_.layout().types(); }
  int64_t kv_bytes_per_token() const override {
    return lectern::kv_bytes_per_token(config_, kv_.layout().types());
  }
  void export_kv(KvPageId page, int n, std::byte* out) override {
    kv_.layout().gather(kv_.page(page), n, out);
  }
  void import_kv(KvPageId page, int n, const std::byte* in) override {
    kv_.layout().scatter(in, n, kv_.page(page));
  }
  std::string numerics() const override;
  void forward(const ForwardBatch& batch, std::vector<float>& logits, const CancelToken& cancel) override;
  void set_tap(ActivationTap tap) override { tap_ = std::move(tap); }
  void set_sparse_tap(SparseTap tap) override { sparse_tap_ = std::move(tap); }
  const BackendOptions& options() const override { return options_; }
  uint64_t weight_bytes_per_token() const override;

 private:
  // The rows of a piece on their way through the layers.
  struct Rows {
    std::vector<BatchPart> parts;
    int n = 0;
    float* residual = nullptr;  // [n, hidden_size]
    // Rotations [n, head_dim] of the keys, and of the queries by the chunk of the keys that they meet
    // (KeyChunk); null where none does. Without Dual Chunk Attention query and key are rotated alike.
    const float* key_rotation = nullptr;
    const float* query_rotation[kKeyChunks] = {};
  };
  // [n, q_size] each, rotated for the keys of a chunk; null as their rotations are.
  struct Queries {
    float* of[kKeyChunks] = {};
  };
  // What attention has to do for one part and KV head: tasks of a few queries each.
  struct HeadTasks {
    int kv_head = 0;
    std::vector<AttentionArgs> tasks;
    int n_sparse = 0;             // of them, the first ones, which need not read all pages
    std::vector<BlockKeys> keys;  // of these, where they are read by columns and diagonals
    double recall = 1;            // of a query of them
  };
  // Where the workers gather keys for the layer in hand: `bytes` for each.
  struct GatheredKeys {
    std::byte* memory = nullptr;
    size_t bytes = 0;
  };
  // One feed-forward block over some rows.
  struct MlpJob {
    const CpuMlp* mlp;
    const float* x;  // [n_tokens, hidden_size], normalised
    int n_tokens;
    float* y;  // [n_tokens, hidden_size]
    bool accumulate;
  };

  Rows embed(const BatchPiece& piece);
  void layer(int index, Rows& rows);
  void rotate_queries(int index, const Rows& rows, float* q, const Queries& queries);
  void store_kv(int index, const Rows& rows, float* k, const float* v);
  void attend(int index, const Rows& rows, const Queries& queries, float* out);
  std::vector<HeadTasks> attention_tasks(int index, const Rows& rows, const Queries& queries, float* out);
  void choose_pages(int index, std::span<HeadTasks> heads);
  void choose_by_page_means(std::span<HeadTasks> heads);
  void choose_by_vertical_slash(int index, std::span<HeadTasks> heads);
  void report_sparse(int index, std::span<const HeadTasks> heads) const;
  double attention_recall(AttentionArgs args, const BlockKeys* keys, int worker);
  void run_attention(AttentionArgs args, const BlockKeys* keys, int worker);
  void mlps(std::span<const MlpJob> jobs);
  void sparse_mlp(const CpuLayer& layer, const float* x, int n, float* residual);
  void head(const Rows& rows, std::span<const int32_t> label_rows, float* logits);

  void normalise(const float* x, const Vector& weight, int n, float* out);
  // x [n, cols] as the weights of each of `weights` read it: one pointer a matrix, equal for equal formats.
  std::vector<const void*> quantised(const float* x, int n, std::span<const PackedMatrix* const> weights);
  void keep_wanted(Rows& rows, const Queries& queries) const;
  void check_finite(const Rows& rows, int layer) const;
  void tap(std::string_view stage, int layer, const float* values, int n) const;

  BackendOptions options_;
  const Qwen2Config config_;
  ThreadPool pool_;
  CpuOps ops_;
  const std::vector<KeySmoothing> smoothing_;  // by layer
  CpuWeights weights_;
  CpuKv kv_;
  Rope rope_;
  ScratchArena arena_;
  AnonymousMemory attention_scratch_;  // one part a worker
  size_t attention_scratch_bytes_;
  GatheredKeys gathered_;
  ActivationTap tap_;
  SparseTap sparse_tap_;
};

}  // namespace lectern
