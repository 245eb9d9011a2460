// The seam between the engine and the hardware: one forward pass over a ragged batch. A backend owns the
// packed weights and the memory of the KV pages. One thread at a time calls it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/progress.h"
#include "engine/config.h"
#include "engine/kv_cache.h"
#include "engine/model_file.h"

namespace lectern {

// The new tokens of one sequence in a batch: a prefill chunk or a decode step.
struct SequenceSlice {
  std::span<const int32_t> tokens;  // [n] ids at positions first_position, first_position + 1, ...
  int first_position = 0;           // all earlier positions are in the cache
  std::span<const KvPageId> pages;  // pages of the sequence, with room for the new tokens
  // Whose logits are wanted: the last n_logits tokens of the slice (0: none, 1: as for decoding, n: all).
  int n_logits = 0;
};

struct ForwardBatch {
  std::span<const SequenceSlice> sequences;
  // When not empty, only these vocabulary rows of the head are computed, in this order.
  std::span<const int32_t> label_rows;
};

// Called after a stage of a forward pass, for tests: layer -1 is the embedding ("embed"), layer L the final
// norm ("norm"); inside a layer "attention" (the residual after attention) and "output". values: [n_tokens,
// hidden_size], a piece of the batch at a time; from the last layer's attention on, only the tokens whose
// logits are wanted.
using ActivationTap =
    std::function<void(std::string_view stage, int layer, std::span<const float> values, int n_tokens)>;

// What became of one KV head of a sequence in one layer and piece that were read sparsely (SparsePrefill).
struct SparseReading {
  int layer = 0, kv_head = 0;
  double recall = 0;  // share of a sampled query's attention that the chosen pages hold
  double read = 0;    // share of the visible pages that were read, all of them where the recall was too low
};
using SparseTap = std::function<void(const SparseReading&)>;

// Long prompts are read sparsely: each block of queries reads only the pages of keys that matter to it
// (page_selection.h, or vertical_slash.h where the model says how much of that). What that leaves out is
// measured on a query of every piece and KV head, which falls back to all pages where it is too much.
struct SparsePrefill {
  int above_tokens = 32'768;  // of a sequence; before that everything is read. INT_MAX: always
  float threshold = 0.1f;     // a page counts when it has so much of the best page's attention; 0: all do
  float least_recall = 0.9f;  // share of the attention that must be kept
  // By columns and diagonals where the model has budgets for them (Qwen2Config::sparse_attention), and not by
  // the means of pages. CPU only.
  bool vertical_slash = true;
};

struct BackendOptions {
  int n_threads = 0;           // 0: one per processor
  int64_t kv_tokens = 0;       // capacity of the KV cache in positions, rounded up to pages; 0: the model's
                               // context, capped by a share of the free memory
  int max_context_tokens = 0;  // of a sequence, at most the model's; 0: the model's
  // Activations are bounded by this; 0: what suits the device.
  int prefill_chunk_tokens = 0;
  KvType kv_type = KvType::kF16;  // kInt8 takes a little more than half the memory
  SparsePrefill sparse_prefill;
  // CUDA only: the matrices of long pieces as 8-bit floats (e4m3) with a scale for each row, which double the
  // rate of Hopper's products; decoding reads the file's own numbers.
  bool fp8 = false;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const Qwen2Config& config() const = 0;
  virtual std::string describe() const = 0;           // one line for people: device, bundle, threads
  virtual const BackendOptions& options() const = 0;  // with the values that stand for the zeros
  virtual KvPagePool& kv_pages() = 0;
  // Copies K and V of the first n positions of a page: how a partly filled page is shared.
  virtual void copy_kv(KvPageId from, KvPageId to, int n) = 0;
  // By layer. With the config, all that says how an exported position is to be read.
  virtual const std::vector<KvLayerTypes>& kv_types() const = 0;
  virtual int64_t kv_bytes_per_token() const = 0;
  // K and V of the first n positions of a page as n * kv_bytes_per_token() bytes, and back: for snapshots.
  virtual void export_kv(KvPageId page, int n, std::byte* out) = 0;
  virtual void import_kv(KvPageId page, int n, const std::byte* in) = 0;
  // How results are rounded: backends of one model, KV type and name here give the same bits. KV that was
  // kept goes on only where it is the same.
  virtual std::string numerics() const = 0;
  // What one decoded token reads of the weights: a lower bound on its time.
  virtual uint64_t weight_bytes_per_token() const = 0;

  // Runs the batch, writes K and V into the pages, and writes the wanted logits to `logits`: rows in the
  // order of the sequences, [sum n_logits, label_rows.size() or vocab_size], float. Batches larger than
  // prefill_chunk_tokens are run in pieces. Throws Error(kCancelled) between pieces and layers.
  virtual void forward(const ForwardBatch& batch, std::vector<float>& logits, const CancelToken& cancel) = 0;

  virtual void set_tap(ActivationTap tap) = 0;
  // For measurements; never called by a backend that reads everything.
  virtual void set_sparse_tap(SparseTap) {}
};

// Packs the weights for the active kernel bundle; progress in bytes.
std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const ModelFile> model,
                                          const BackendOptions& options, const ProgressFn& progress);

}  // namespace lectern
