// Any bytes as a GGUF model: the container, the configuration, the binding of weights, the vocabulary.
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "engine/gguf.h"
#include "engine/model_file.h"
#include "kernels/reference/dequantize.h"

using namespace lectern;

namespace {

// Touches every byte that a model promises.
void read_all(const ModelFile& model) {
  std::vector<float> row;
  auto read = [&](const Matrix& matrix) {
    if (matrix.empty()) return;
    row.resize(static_cast<size_t>(matrix.cols));
    for (int r = 0; r < matrix.rows; ++r)
      dequantize(matrix.dtype, matrix.data.data() + static_cast<size_t>(r) * matrix.row_bytes(), matrix.cols,
                 row.data());
    model.release_pages(matrix.data);
  };
  auto read_mlp = [&](const MlpWeights& mlp) {
    for (const Matrix* matrix : {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) read(*matrix);
  };
  read(model.weights().embed_tokens);
  read(model.weights().lm_head);
  for (const LayerWeights& layer : model.weights().layers) {
    for (const Matrix* matrix :
         {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj, &layer.moe.router})
      read(*matrix);
    read_mlp(layer.mlp);
    read_mlp(layer.moe.shared_expert);
    for (const MlpWeights& expert : layer.moe.experts) read_mlp(expert);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const GgufFile file(std::as_bytes(std::span(data, size)), "input");
  } catch (const Error&) {
  }
  const FileDescriptor memory(::memfd_create("input", MFD_CLOEXEC));
  if (memory.fd < 0 || ::write(memory.fd, data, size) != static_cast<ssize_t>(size)) return 0;
  try {
    read_all(*ModelFile::open("/proc/self/fd/" + std::to_string(memory.fd)));
  } catch (const Error&) {
  }
  return 0;
}
