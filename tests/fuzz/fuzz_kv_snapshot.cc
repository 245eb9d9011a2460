// Any bytes as a KV snapshot, as they are and once more with the checksums of the header and of the blocks
// put right, so that what lies behind them is reached.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/hash.h"
#include "engine/kv_snapshot.h"

using namespace lectern;

namespace {

// Keeps nothing, but reads every byte that it is given.
class Sink final : public Backend {
 public:
  Sink() {
    config_.num_key_value_heads = 1;
    config_.head_dim = 8;
    config_.rope_theta = 10000.0f;
  }
  const Qwen2Config& config() const override { return config_; }
  std::string describe() const override { return "sink"; }
  const BackendOptions& options() const override { return options_; }
  KvPagePool& kv_pages() override { return pages_; }
  void copy_kv(KvPageId, KvPageId, int) override {}
  const std::vector<KvLayerTypes>& kv_types() const override { return types_; }
  int64_t kv_bytes_per_token() const override { return 16 + 12 + 12 + 12; }
  void export_kv(KvPageId, int, std::byte*) override {}
  void import_kv(KvPageId, int n, const std::byte* in) override {
    for (int64_t i = 0; i < n * kv_bytes_per_token(); ++i) sum_ = sum_ + std::to_integer<uint64_t>(in[i]);
  }
  std::string numerics() const override { return "sink"; }
  uint64_t weight_bytes_per_token() const override { return 0; }
  void forward(const ForwardBatch&, std::vector<float>&, const CancelToken&) override {}
  void set_tap(ActivationTap) override {}

 private:
  Qwen2Config config_;
  BackendOptions options_;
  KvPagePool pages_{4};
  std::vector<KvLayerTypes> types_ = {{KvType::kF16, KvType::kInt8}, {KvType::kInt8, KvType::kInt8}};
  volatile uint64_t sum_ = 0;
};

void read_snapshot(std::span<const uint8_t> content, Backend& backend) {
  const FileDescriptor memory(::memfd_create("input", MFD_CLOEXEC));
  if (memory.fd < 0 ||
      ::write(memory.fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
    return;
  try {
    const KvSnapshot snapshot("/proc/self/fd/" + std::to_string(memory.fd), kv_geometry(backend, {}));
    const std::vector<KvPageId> pages(snapshot.tokens().size() / kKvPageTokens + 1);
    snapshot.read(backend, pages);
  } catch (const Error&) {
  }
}

// Puts the hash of content[begin, end) at `at`, as far as they are there.
void put_checksum(std::vector<uint8_t>& content, size_t begin, size_t end, size_t at) {
  if (end > content.size() || at + 8 > content.size()) return;
  const uint64_t hash = fast_hash(std::as_bytes(std::span(content)).subspan(begin, end - begin));
  std::memcpy(content.data() + at, &hash, sizeof(hash));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Sink backend;
  read_snapshot({data, size}, backend);
  if (size < 96) return 0;
  std::vector<uint8_t> content(data, data + size);
  uint64_t n_tokens = 0;
  uint32_t n_layers = 0;
  std::memcpy(&n_tokens, data + 24, sizeof(n_tokens));
  std::memcpy(&n_layers, data + 32, sizeof(n_layers));
  if (n_tokens > size || n_layers > size) return 0;
  size_t at = 96 + n_layers * size_t{2} + n_tokens * 4;
  put_checksum(content, 24, at, 16);
  for (uint64_t begin = 0; begin < n_tokens && at < size; begin += kKvPageTokens) {
    const size_t bytes = std::min<uint64_t>(kKvPageTokens, n_tokens - begin) *
                         static_cast<size_t>(backend.kv_bytes_per_token());
    put_checksum(content, at, at + bytes, at + bytes);
    at += bytes + 8;
  }
  read_snapshot(content, backend);
  return 0;
}
