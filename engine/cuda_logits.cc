// The head on a CUDA device, and what goes back to the host.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "engine/cuda_forward.h"
#include "kernels/reference/dequantize.h"

namespace lectern {

// The logits of the wanted rows [begin, begin + n) into logits_.
void CudaBackend::head(const Piece& piece, int begin, int n) {
  if (n == 0) return;
  const float* rows = piece.residual + static_cast<size_t>(begin) * static_cast<size_t>(config_.hidden_size);
  cuda::check_finite(rows, int64_t{n} * config_.hidden_size, not_finite_.data(), stream_);
  cuda::rmsnorm(rows, weights_.norm(), n, config_.hidden_size, config_.rms_norm_eps, normed_.data(), stream_);
  if (piece.n_labels > 0) {
    // Labels may repeat, so that they are more than the vocabulary.
    float* logits = logits_.at_least(static_cast<size_t>(n) * static_cast<size_t>(piece.n_labels));
    matmul_.run_rows(weights_.head(), piece.labels, piece.n_labels, normed_.data(), n, logits);
  } else {
    matmul_.run(weights_.head(), normed_.data(), n, {.f32 = logits_.data(), .stride = config_.vocab_size});
  }
}

// Waits for the piece; its logits as rows of `logits`. `computed`: those of all rows are in logits_ already.
void CudaBackend::download(const Piece& piece, bool computed, float* logits) {
  const auto columns = static_cast<size_t>(piece.n_labels > 0 ? piece.n_labels : config_.vocab_size);
  const auto n_wanted = static_cast<int>(piece.plan->wanted.size());
  const size_t flag_at = static_cast<size_t>(std::min(n_wanted, kHeadRows)) * columns * sizeof(float);
  if (staging_.size() < flag_at + sizeof(int32_t)) {
    stream_.synchronize();  // the inputs may still be on their way
    staging_ = PinnedMemory(flag_at + sizeof(int32_t));
  }
  if (n_wanted == 0 && piece.plan->n > 0) {
    // The last row has seen all the others.
    cuda::check_finite(
        residual_.data() + static_cast<size_t>(piece.plan->n - 1) * static_cast<size_t>(config_.hidden_size),
        config_.hidden_size, not_finite_.data(), stream_);
  }
  for (int begin = 0; begin == 0 || begin < n_wanted; begin += kHeadRows) {
    const int n = std::min(kHeadRows, n_wanted - begin);
    if (!computed) {
      head(piece, begin, n);
      if (begin == 0) tap_norm(n);
    }
    const size_t bytes = static_cast<size_t>(n) * columns * sizeof(float);
    check_cuda(cudaMemcpyAsync(staging_.data(), logits_.data(), bytes, cudaMemcpyDeviceToHost, stream_),
               "copy the logits");
    check_cuda(cudaMemcpyAsync(staging_.data() + flag_at, not_finite_.data(), sizeof(int32_t),
                               cudaMemcpyDeviceToHost, stream_),
               "copy a flag");
    stream_.synchronize();
    int32_t not_finite = 0;
    std::memcpy(&not_finite, staging_.data() + flag_at, sizeof(not_finite));
    if (not_finite != 0) {
      throw Error(ErrorCode::kCorrupt,
                  weights_.model().path().string() +
                      ": gives numbers that are not finite; the file is damaged or needs a "
                      "higher precision");
    }
    if (bytes > 0) std::memcpy(logits + static_cast<size_t>(begin) * columns, staging_.data(), bytes);
  }
}

void CudaBackend::tap(std::string_view stage, int layer, const float* values, int n) {
  if (!tap_) return;
  std::vector<float> host(static_cast<size_t>(n) * static_cast<size_t>(config_.hidden_size));
  check_cuda(
      cudaMemcpyAsync(host.data(), values, host.size() * sizeof(float), cudaMemcpyDeviceToHost, stream_),
      "copy activations");
  stream_.synchronize();
  tap_(stage, layer, host, n);
}

// The final norm, of which only bfloat16 exist.
void CudaBackend::tap_norm(int n) {
  if (!tap_ || n == 0) return;
  std::vector<uint16_t> bits(static_cast<size_t>(n) * static_cast<size_t>(config_.hidden_size));
  check_cuda(cudaMemcpyAsync(bits.data(), normed_.data(), bits.size() * sizeof(uint16_t),
                             cudaMemcpyDeviceToHost, stream_),
             "copy activations");
  stream_.synchronize();
  std::vector<float> host(bits.size());
  std::transform(bits.begin(), bits.end(), host.begin(), bf16_to_float);
  tap_("norm", config_.num_hidden_layers, host, n);
}

}  // namespace lectern
