// The forward pass on a CUDA device: the equations of Qwen2 in terms of kernels/cuda/cuda_kernels.h and
// cuBLASLt. Everything runs on one stream; the host waits for it once a piece of the batch. Not thread-safe.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/cuda_matmul.h"
#include "engine/cuda_memory.h"
#include "engine/cuda_plan.h"
#include "engine/cuda_weights.h"
#include "engine/kv_layout.h"
#include "engine/rope.h"

namespace lectern {

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::shared_ptr<const ModelFile> model, int device, const BackendOptions& options,
              const ProgressFn& progress);
  ~CudaBackend() override;

  const Qwen2Config& config() const override { return config_; }
  std::string describe() const override;
  const BackendOptions& options() const override { return options_; }
  KvPagePool& kv_pages() override { return *pool_; }
  void copy_kv(KvPageId from, KvPageId to, int n) override;
  const std::vector<KvLayerTypes>& kv_types() const override { return layout_.types(); }
  int64_t kv_bytes_per_token() const override {
    return lectern::kv_bytes_per_token(config_, layout_.types());
  }
  void export_kv(KvPageId page, int n, std::byte* out) override;
  void import_kv(KvPageId page, int n, const std::byte* in) override;
  std::string numerics() const override;
  uint64_t weight_bytes_per_token() const override { return weights_.bytes_per_token(); }
  void forward(const ForwardBatch& batch, std::vector<float>& logits, const CancelToken& cancel) override;
  void set_tap(ActivationTap tap) override { tap_ = std::move(tap); }
  void set_sparse_tap(SparseTap tap) override { sparse_tap_ = std::move(tap); }

 private:
  // Rows whose logits are computed at a time: they are the largest buffer of all.
  static constexpr int kHeadRows = 128;

  // Makes a device the current one of the thread before anything is allocated on it.
  struct SelectDevice {
    explicit SelectDevice(int index);
    int index;
  };
  struct AttentionInputs {
    const cuda::AttentionTask *prefill, *decode, *sparse, *samples, *last;
  };
  // A piece's inputs on the device, and what is known of its rows.
  struct Piece {
    const CudaPiecePlan* plan;
    const int32_t *tokens, *positions, *pages, *wanted, *labels, *page_tables;
    int n_labels;
    AttentionInputs attention, last_attention;
    float* residual;  // [n, hidden_size]
    int n;            // rows: plan->n, from the last layer's attention on those that are wanted
    const __half* q[kKeyChunks];
  };
  // Of the KV heads of a sequence, a bit each: [n_kv_heads, words].
  struct WantedKeys {
    const uint32_t *columns, *diagonals;
    int words;
  };
  // Passes that differ in nothing but the numbers in these inputs are one graph: decoding.
  // rows, rows wanted, labels, kinds of key chunks, then tasks and splits of all layers and of the last one
  using GraphKey = std::array<int, 8>;
  struct Graph {
    cudaGraphExec_t executable = nullptr;
    int generation = -1;  // of the buffers whose addresses it holds
  };

  void reserve_buffers(size_t n);
  Piece upload(const CudaPiecePlan& plan, std::span<const int32_t> label_rows);
  void run(Piece& piece, const CancelToken& cancel);
  bool run_as_graph(const Piece& piece, const CancelToken& cancel);
  int generation() const;
  void embed(Piece& piece);
  void layer(int index, Piece& piece);
  void keep_wanted(Piece& piece);
  cuda::KvLayer kv_layer(int index) const;
  // Blocks of attention over the tasks at `tasks`.
  cuda::AttentionArgs attention_args(int index, const Piece& piece) const;
  void attend(int index, const Piece& piece, const CudaAttentionPlan& plan, const AttentionInputs& inputs);
  void choose_pages(int index, const cuda::AttentionArgs& args, const Piece& piece,
                    const CudaAttentionPlan& plan, const AttentionInputs& inputs);
  void choose_by_page_means(const cuda::AttentionArgs& args, const Piece& piece,
                            const CudaAttentionPlan::SparsePart& part);
  WantedKeys estimate_vertical_slash(int index, cuda::AttentionArgs args, const Piece& piece,
                                     const CudaAttentionPlan::SparsePart& part,
                                     const AttentionInputs& inputs);
  void choose_by_vertical_slash(int index, const cuda::AttentionArgs& args, const Piece& piece,
                                int part_index, const CudaAttentionPlan& plan, const AttentionInputs& inputs);
  float* log_sum_exp(cuda::AttentionArgs args, int n_pages);
  void report_sparse(int index, const CudaAttentionPlan& plan);
  void run_attention(cuda::AttentionArgs args, int most_pages);
  int splits(size_t n_tasks, int most_pages) const;
  cuda::PageLists page_lists(const CudaAttentionPlan& plan);
  void upload_vertical_slash();
  cuda::GatheredColumns gathered_columns(int index, const CudaAttentionPlan& plan);
  int chunk_pages() const;
  void mlp(const CudaMlp& mlp, const __nv_bfloat16* x, int n, const ProductRows& y);
  void sparse_mlp(const CudaLayer& layer, const __nv_bfloat16* x, int n, float* residual);
  void head(const Piece& piece, int begin, int n);
  void download(const Piece& piece, bool computed, float* logits);
  void tap(std::string_view stage, int layer, const float* values, int n);
  void tap_norm(int n);

  SelectDevice device_;
  BackendOptions options_;
  const Qwen2Config config_;
  std::string device_name_;
  int compute_capability_ = 0, n_multiprocessors_ = 1;
  CudaStream stream_;
  CudaMatmul matmul_;
  CudaWeights weights_;
  KvLayout layout_;
  DeviceMemory kv_;
  std::unique_ptr<KvPagePool> pool_;
  Rope rope_;

  // [n, ...] for the largest piece; what belongs to one layer only is shared by all.
  DeviceBuffer<int32_t> inputs_{"the inputs of a pass"};
  DeviceBuffer<float> residual_{"activations"}, kept_residual_{"activations"}, qkv_{"activations"};
  DeviceBuffer<float> rotations_{"rotations"};
  DeviceBuffer<__nv_bfloat16> normed_{"activations"}, attended_{"activations"}, gate_{"activations"},
      up_{"activations"};
  DeviceBuffer<__half> q_{"queries"}, kept_q_{"queries"};
  DeviceBuffer<float> partial_{"shared out attention"}, logits_{"logits"};
  DeviceBuffer<int32_t> not_finite_{"a flag"};
  // Sparse prefill.
  DeviceBuffer<float> page_means_{"page means"}, log_sum_exp_{"sampled attention"}, recall_{"sampled recall"};
  DeviceBuffer<int32_t> lists_{"page lists"}, list_lengths_{"page lists"};
  // By columns and diagonals.
  DeviceBuffer<int32_t> budgets_{"budgets of sparse attention"}, gathered_positions_{"gathered keys"},
      tile_lists_{"lists of gathered keys"}, tile_list_lengths_{"lists of gathered keys"},
      n_gathered_tiles_{"gathered keys"};
  DeviceBuffer<float> turns_{"rotations"}, column_sums_{"sums of attention"};
  DeviceBuffer<__half> turned_q_{"queries"};
  DeviceBuffer<uint32_t> wanted_{"wanted keys"}, dense_pages_{"wanted keys"}, whole_pages_{"page lists"};
  DeviceBuffer<std::byte> gathered_{"gathered keys"};
  // Mixture of experts.
  DeviceBuffer<float> router_{"expert routing"}, expert_weights_{"expert routing"}, expert_y_{"expert rows"},
      shared_y_{"expert rows"};
  DeviceBuffer<int32_t> expert_ids_{"expert routing"}, expert_rows_{"expert routing"};
  DeviceBuffer<__nv_bfloat16> expert_x_{"expert rows"};
  PinnedMemory staging_;  // inputs on their way up, logits and pages on their way down
  CudaEvent layer_done_[2];

  std::map<GraphKey, Graph> graphs_;
  ActivationTap tap_;
  SparseTap sparse_tap_;
};

}  // namespace lectern
