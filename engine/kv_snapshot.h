// The KV of a token sequence in a file (docs/file_formats.md), written from the pages of a backend and read
// back into pages: bit for bit what reading the tokens would give. A file is hostile until checked: sizes
// before anything is allocated, checksums before anything is used.
//
// Functions may be called for different files at once; the backend is the caller's, one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/file_descriptor.h"
#include "engine/backend.h"
#include "engine/model_fingerprint.h"

namespace lectern {

// What a snapshot and its reader must agree on.
struct KvGeometry {
  ModelFingerprint model;
  uint64_t numerics = 0;  // fast_hash of Backend::numerics()
  int n_kv_heads = 0;
  int head_dim = 0;
  float rope_theta = 0;
  YarnScaling yarn;  // factor 1: none
  std::vector<KvLayerTypes> layers;

  int64_t bytes_per_token() const;
};

KvGeometry kv_geometry(const Backend& backend, const ModelFingerprint& model);

// Bytes of the snapshot of so many tokens.
uint64_t kv_snapshot_bytes(const KvGeometry& geometry, size_t n_tokens);

// `pages` hold the KV of `tokens` (at least one) from position 0 on. The file appears whole under its name or
// not at all, and is on disk when this returns. Throws Error(kIo).
void write_kv_snapshot(const std::filesystem::path& path, const KvGeometry& geometry, Backend& backend,
                       std::span<const int32_t> tokens, std::span<const KvPageId> pages);

class KvSnapshot {
 public:
  // Opens the file and checks its header. Throws Error: kNotFound, kIo; kCorrupt for a damaged file or one of
  // another kind; kUnsupported for a snapshot of another version, model, rounding or KV type.
  KvSnapshot(const std::filesystem::path& path, const KvGeometry& geometry);

  const std::vector<int32_t>& tokens() const { return tokens_; }
  const FileDescriptor& file() const { return file_; }

  // Reads the KV of all tokens into `pages`, which have room for them. Throws Error(kCorrupt, kIo); the pages
  // then hold nothing of use.
  void read(Backend& backend, std::span<const KvPageId> pages) const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  size_t bytes_per_token_;
  uint64_t payload_offset_ = 0;
  std::vector<int32_t> tokens_;
};

}  // namespace lectern
