// A model's matrices as the kernels want them: packed once at load, by all threads, into one block of memory.
// What the matrices took of the mapped file is given back as they are packed, so the weights are resident
// once. Norms, biases and the embedding rows stay with the ModelFile, which this keeps alive. Immutable after
// construction.
#pragma once

#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "engine/memory.h"
#include "engine/model_file.h"
#include "kernels/cpu/kernel_table.h"

namespace lectern {

struct CpuMlp {
  PackedMatrix gate_proj, up_proj, down_proj;
};

struct CpuLayer {
  const LayerWeights* source;  // norms and biases
  PackedMatrix q_proj, k_proj, v_proj, o_proj;
  CpuMlp mlp;           // dense layers
  PackedMatrix router;  // the rest: kQwen2Moe
  std::vector<CpuMlp> experts;
  CpuMlp shared_expert;
};

class CpuWeights {
 public:
  // Progress counts bytes of the file. Throws Error: kResourceExhausted when the packed weights exceed the
  // memory that is available, kCorrupt when a tensor has not the shape that the config gives it.
  CpuWeights(std::shared_ptr<const ModelFile> model, const KernelTable& kernels, ThreadPool& pool,
             const ProgressFn& progress);

  const ModelFile& model() const { return *model_; }
  const std::vector<CpuLayer>& layers() const { return layers_; }
  const PackedMatrix& head() const { return head_; }
  // Bytes of the matrices that one token passes through.
  uint64_t bytes_per_token() const { return bytes_per_token_; }

  // hidden[h] = the embedding of `token`, read from the file.
  void embed(int32_t token, float* hidden) const;

 private:
  std::shared_ptr<const ModelFile> model_;
  std::vector<CpuLayer> layers_;
  PackedMatrix head_;
  AnonymousMemory memory_;
  uint64_t bytes_per_token_ = 0;
};

}  // namespace lectern
