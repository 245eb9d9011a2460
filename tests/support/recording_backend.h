// A backend that passes everything on to another one and remembers what it was asked to read.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/backend.h"

namespace lectern::test {

class RecordingBackend final : public Backend {
 public:
  struct Slice {
    std::vector<int32_t> tokens;
    int first_position;
    int n_logits;
  };
  using Batch = std::vector<Slice>;

  explicit RecordingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  const Qwen2Config& config() const override { return inner_->config(); }
  std::string describe() const override { return inner_->describe(); }
  const BackendOptions& options() const override { return inner_->options(); }
  KvPagePool& kv_pages() override { return inner_->kv_pages(); }
  void copy_kv(KvPageId from, KvPageId to, int n) override { inner_->copy_kv(from, to, n); }
  const std::vector<KvLayerTypes>& kv_types() const override { return inner_->kv_types(); }
  int64_t kv_bytes_per_token() const override { return inner_->kv_bytes_per_token(); }
  void export_kv(KvPageId page, int n, std::byte* out) override { inner_->export_kv(page, n, out); }
  void import_kv(KvPageId page, int n, const std::byte* in) override { inner_->import_kv(page, n, in); }
  std::string numerics() const override { return inner_->numerics(); }
  uint64_t weight_bytes_per_token() const override { return inner_->weight_bytes_per_token(); }
  void set_tap(ActivationTap tap) override { inner_->set_tap(std::move(tap)); }

  void forward(const ForwardBatch& batch, std::vector<float>& logits, const CancelToken& cancel) override {
    Batch& copy = batches.emplace_back();
    for (const SequenceSlice& slice : batch.sequences) {
      copy.push_back({{slice.tokens.begin(), slice.tokens.end()}, slice.first_position, slice.n_logits});
    }
    if (before_forward) before_forward(batch);
    inner_->forward(batch, logits, cancel);
  }

  int64_t n_tokens() const {
    int64_t n = 0;
    for (const Batch& batch : batches) {
      for (const Slice& slice : batch) n += static_cast<int64_t>(slice.tokens.size());
    }
    return n;
  }

  std::vector<Batch> batches;
  std::function<void(const ForwardBatch&)> before_forward;  // may throw

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace lectern::test
