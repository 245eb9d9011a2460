// The KV pages of a CUDA device.
#include <cstring>

#include "engine/cuda_forward.h"

namespace lectern {

void CudaBackend::copy_kv(KvPageId from, KvPageId to, int) {
  // Whole: what lies behind the positions that are wanted is written before it is read.
  const SelectDevice select(device_.index);
  const size_t bytes = layout_.page_bytes();
  check_cuda(cudaMemcpyAsync(kv_.data() + static_cast<size_t>(to) * bytes,
                             kv_.data() + static_cast<size_t>(from) * bytes, bytes, cudaMemcpyDeviceToDevice,
                             stream_),
             "copy a KV page");
}

void CudaBackend::export_kv(KvPageId page, int n, std::byte* out) {
  const SelectDevice select(device_.index);
  const size_t bytes = layout_.page_bytes();
  if (staging_.size() < bytes) staging_ = PinnedMemory(bytes);
  check_cuda(cudaMemcpyAsync(staging_.data(), kv_.data() + static_cast<size_t>(page) * bytes, bytes,
                             cudaMemcpyDeviceToHost, stream_),
             "copy a KV page");
  stream_.synchronize();
  layout_.gather(staging_.data(), n, out);
}

void CudaBackend::import_kv(KvPageId page, int n, const std::byte* in) {
  const SelectDevice select(device_.index);
  const size_t bytes = layout_.page_bytes();
  if (staging_.size() < bytes) staging_ = PinnedMemory(bytes);
  // Positions behind the first n are not in use when a page is imported.
  std::memset(staging_.data(), 0, bytes);
  layout_.scatter(in, n, staging_.data());
  check_cuda(cudaMemcpyAsync(kv_.data() + static_cast<size_t>(page) * bytes, staging_.data(), bytes,
                             cudaMemcpyHostToDevice, stream_),
             "copy a KV page");
  stream_.synchronize();
}

cuda::KvLayer CudaBackend::kv_layer(int index) const {
  const auto side = [](const KvLayout::Blocks& blocks) {
    return cuda::KvSide{blocks.type, blocks.offset, blocks.bytes};
  };
  return {.pages = kv_.data(),
          .page_bytes = layout_.page_bytes(),
          .k = side(layout_.keys(index)),
          .v = side(layout_.values(index)),
          .n_kv_heads = config_.num_key_value_heads,
          .head_dim = config_.head_dim};
}

}  // namespace lectern
