// A model's weights on a CUDA device: matrices as they lie in the file, and expanded to bfloat16 beside that
// where memory allows. Immutable once loaded.
#pragma once

#include <memory>
#include <vector>

#include "base/progress.h"
#include "engine/cuda_matmul.h"
#include "engine/cuda_memory.h"
#include "engine/key_smoothing.h"
#include "engine/model_file.h"

namespace lectern {

struct CudaMlp {
  CudaMatrix gate_proj, up_proj, down_proj;
};

struct CudaLayer {
  const float *input_layernorm = nullptr, *post_attention_layernorm = nullptr;
  const float *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr;
  const float *q_scale = nullptr, *k_scale = nullptr;  // KeySmoothing
  CudaMatrix q_proj, k_proj, v_proj, o_proj;
  CudaMlp mlp;        // dense layers
  CudaMatrix router;  // the rest: kQwen2Moe
  std::vector<CudaMlp> experts;
  CudaMlp shared_expert;
  const float* shared_expert_gate = nullptr;
};

class CudaWeights {
 public:
  // Copies the weights to the current device, through pinned memory, while the next piece is read from the
  // file; progress counts bytes of the file. Throws Error: kResourceExhausted where the device has too little
  // memory, kCorrupt where a tensor has not the shape that the config gives it.
  CudaWeights(std::shared_ptr<const ModelFile> model, const std::vector<KeySmoothing>& smoothing,
              cudaStream_t stream, const ProgressFn& progress);

  // Keeps all quantised matrices in bfloat16 too when that takes at most `bytes`; otherwise they are expanded
  // when they are used.
  void expand_within(size_t bytes, cudaStream_t stream);
  // Makes 8-bit floats of all matrices whose sides are multiples of 16, as Hopper's products need them; to be
  // called before expand_within, which then leaves these alone.
  void round_to_e4m3(cudaStream_t stream);

  const ModelFile& model() const { return *model_; }
  const std::vector<CudaLayer>& layers() const { return layers_; }
  const CudaMatrix& embed_tokens() const { return embed_tokens_; }
  const CudaMatrix& head() const { return head_; }
  const float* norm() const { return norm_; }
  bool expanded() const { return expanded_.size() > 0; }
  // Elements of the largest matrix that is expanded when it is used; 0: none.
  size_t largest_unexpanded() const;
  // Bytes of the matrices that one token passes through.
  uint64_t bytes_per_token() const { return bytes_per_token_; }

 private:
  std::shared_ptr<const ModelFile> model_;
  std::vector<CudaLayer> layers_;
  CudaMatrix embed_tokens_, head_;
  std::vector<CudaMatrix*> matrices_;  // of the layers and the head: what multiplies activations
  const float* norm_ = nullptr;
  DeviceMemory memory_, expanded_, rounded_;
  uint64_t bytes_per_token_ = 0;
};

}  // namespace lectern
