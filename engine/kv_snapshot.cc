#include "engine/kv_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace lectern {
namespace {

constexpr char kMagic[8] = {'L', 'C', 'T', 'R', 'N', 'K', 'V', '\n'};
constexpr uint32_t kVersion = 2;
constexpr uint32_t kMaxLayers = 4096;
constexpr uint64_t kMaxTokens = 1 << 24;  // beyond any model's context: the header stays below 64 MB

// The first bytes of a file. The rest of the header follows: two bytes a layer (KvLayerTypes), the token ids.
struct FixedHeader {
  char magic[8];
  uint32_t version;
  uint32_t block_tokens;
  uint64_t checksum;  // of all that follows in the header
  uint64_t n_tokens;
  uint32_t n_layers;
  uint32_t n_kv_heads;
  uint32_t head_dim;
  float rope_theta;
  float yarn_factor;
  int32_t yarn_original;
  uint64_t numerics;
  ModelFingerprint model;
};
constexpr size_t kChecksumEnd = offsetof(FixedHeader, n_tokens);
static_assert(sizeof(FixedHeader) == 96 && kChecksumEnd == 24, "no padding");
static_assert(sizeof(KvLayerTypes) == 2);

uint64_t header_bytes(size_t n_layers, size_t n_tokens) {
  return sizeof(FixedHeader) + n_layers * sizeof(KvLayerTypes) + n_tokens * sizeof(int32_t);
}

// The whole header but for the ids, with its checksum.
std::vector<std::byte> encode_header(const KvGeometry& geometry, std::span<const int32_t> tokens) {
  FixedHeader fixed = {.magic = {},
                       .version = kVersion,
                       .block_tokens = kKvPageTokens,
                       .checksum = 0,
                       .n_tokens = tokens.size(),
                       .n_layers = static_cast<uint32_t>(geometry.layers.size()),
                       .n_kv_heads = static_cast<uint32_t>(geometry.n_kv_heads),
                       .head_dim = static_cast<uint32_t>(geometry.head_dim),
                       .rope_theta = geometry.rope_theta,
                       .yarn_factor = geometry.yarn.factor,
                       .yarn_original = geometry.yarn.original_max_position_embeddings,
                       .numerics = geometry.numerics,
                       .model = geometry.model};
  std::memcpy(fixed.magic, kMagic, sizeof(kMagic));
  std::vector<std::byte> header(header_bytes(geometry.layers.size(), tokens.size()));
  std::byte* at = header.data() + sizeof(fixed);
  std::memcpy(at, geometry.layers.data(), geometry.layers.size() * sizeof(KvLayerTypes));
  at += geometry.layers.size() * sizeof(KvLayerTypes);
  std::memcpy(at, tokens.data(), tokens.size_bytes());
  std::memcpy(header.data(), &fixed, sizeof(fixed));
  fixed.checksum = fast_hash(std::span(header).subspan(kChecksumEnd));
  std::memcpy(header.data(), &fixed, sizeof(fixed));
  return header;
}

// Calls visit(index, n_tokens) for every block.
template <typename Visit>
void for_blocks(size_t n_tokens, const Visit& visit) {
  for (size_t begin = 0; begin < n_tokens; begin += kKvPageTokens)
    visit(begin / kKvPageTokens, std::min<size_t>(kKvPageTokens, n_tokens - begin));
}

[[noreturn]] void fail_io(const std::filesystem::path& path, int error) {
  throw Error(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path.string() + ": " + std::strerror(error) +
                  (error == ENOSPC ? "; make room on the disk or lower the limit of the folder" : ""));
}

void write_all(const FileDescriptor& file, std::span<const std::byte> bytes,
               const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file.fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void read_all(const FileDescriptor& file, uint64_t offset, std::span<std::byte> bytes,
              const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(file.fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(path, errno);
    if (n == 0) throw Error(ErrorCode::kCorrupt, path.string() + ": became shorter while it was read");
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

// So that the new name outlives a power failure too.
void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor file(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.fd >= 0) ::fsync(file.fd);
}

}  // namespace

int64_t KvGeometry::bytes_per_token() const {
  int64_t bytes = 0;
  for (const auto& [k, v] : layers) {
    for (const KvType type : {k, v})
      bytes +=
          type == KvType::kInt8 ? head_dim + int64_t{sizeof(float)} : head_dim * int64_t{sizeof(uint16_t)};
  }
  return bytes * n_kv_heads;
}

KvGeometry kv_geometry(const Backend& backend, const ModelFingerprint& model) {
  const Qwen2Config& config = backend.config();
  const std::string numerics = backend.numerics();
  KvGeometry geometry = {.model = model,
                         .numerics = fast_hash(std::as_bytes(std::span(numerics))),
                         .n_kv_heads = config.num_key_value_heads,
                         .head_dim = config.head_dim,
                         .rope_theta = config.rope_theta,
                         .yarn = config.rope_scaling.value_or(YarnScaling{}),
                         .layers = backend.kv_types()};
  LECTERN_CHECK(geometry.bytes_per_token() == backend.kv_bytes_per_token());
  return geometry;
}

uint64_t kv_snapshot_bytes(const KvGeometry& geometry, size_t n_tokens) {
  const size_t n_blocks = (n_tokens + kKvPageTokens - 1) / kKvPageTokens;
  return header_bytes(geometry.layers.size(), n_tokens) +
         n_tokens * static_cast<uint64_t>(geometry.bytes_per_token()) + n_blocks * sizeof(uint64_t);
}

void write_kv_snapshot(const std::filesystem::path& path, const KvGeometry& geometry, Backend& backend,
                       std::span<const int32_t> tokens, std::span<const KvPageId> pages) {
  LECTERN_CHECK(!tokens.empty() && tokens.size() <= pages.size() * kKvPageTokens);
  const auto bytes_per_token = static_cast<size_t>(geometry.bytes_per_token());
  std::string temporary = path.string() + ".tmp-XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.fd < 0) fail_io(temporary, errno);
  try {
    write_all(file, encode_header(geometry, tokens), temporary);
    std::vector<std::byte> block;
    for_blocks(tokens.size(), [&](size_t index, size_t n) {
      const size_t bytes = n * bytes_per_token;
      block.resize(bytes + sizeof(uint64_t));
      backend.export_kv(pages[index], static_cast<int>(n), block.data());
      const uint64_t checksum = fast_hash(std::span(block).first(bytes));
      std::memcpy(block.data() + bytes, &checksum, sizeof(checksum));
      write_all(file, block, temporary);
    });
    if (::fsync(file.fd) != 0) fail_io(temporary, errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail_io(path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(path.parent_path());
}

KvSnapshot::KvSnapshot(const std::filesystem::path& path, const KvGeometry& geometry)
    : path_(path),
      file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)),
      bytes_per_token_(static_cast<size_t>(geometry.bytes_per_token())) {
  if (file_.fd < 0) fail_io(path, errno);
  const auto corrupt = [&](const std::string& why) {
    throw Error(ErrorCode::kCorrupt, path.string() + ": " + why + "; delete it, it can be made again");
  };
  const auto foreign = [&](const std::string& why) {
    throw Error(ErrorCode::kUnsupported, path.string() + ": a KV snapshot of another " + why);
  };
  struct stat info {};
  if (::fstat(file_.fd, &info) != 0) fail_io(path, errno);
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || file_bytes < sizeof(FixedHeader)) corrupt("is no KV snapshot");

  FixedHeader fixed;
  read_all(file_, 0, std::as_writable_bytes(std::span(&fixed, 1)), path);
  if (std::memcmp(fixed.magic, kMagic, sizeof(kMagic)) != 0) corrupt("is no KV snapshot");
  if (fixed.version != kVersion) foreign("version, " + std::to_string(fixed.version));
  if (fixed.n_layers > kMaxLayers || fixed.n_tokens == 0 || fixed.n_tokens > kMaxTokens ||
      header_bytes(fixed.n_layers, fixed.n_tokens) > file_bytes) {
    corrupt("announces " + std::to_string(fixed.n_layers) + " layers and " + std::to_string(fixed.n_tokens) +
            " tokens in " + std::to_string(file_bytes) + " bytes");
  }
  std::vector<std::byte> header(header_bytes(fixed.n_layers, fixed.n_tokens));
  read_all(file_, 0, header, path);
  if (fast_hash(std::span(header).subspan(kChecksumEnd)) != fixed.checksum) corrupt("the header is damaged");

  if (fixed.model != geometry.model) foreign("model");
  if (fixed.numerics != geometry.numerics) foreign("kernel bundle, which rounds differently");
  const size_t layer_bytes = geometry.layers.size() * sizeof(KvLayerTypes);
  if (fixed.block_tokens != kKvPageTokens || fixed.n_layers != geometry.layers.size() ||
      fixed.n_kv_heads != static_cast<uint32_t>(geometry.n_kv_heads) ||
      fixed.head_dim != static_cast<uint32_t>(geometry.head_dim) || fixed.rope_theta != geometry.rope_theta ||
      fixed.yarn_factor != geometry.yarn.factor ||
      fixed.yarn_original != geometry.yarn.original_max_position_embeddings ||
      std::memcmp(header.data() + sizeof(FixedHeader), geometry.layers.data(), layer_bytes) != 0) {
    foreign("shape or KV type");
  }
  if (const uint64_t expected = kv_snapshot_bytes(geometry, fixed.n_tokens); file_bytes != expected) {
    corrupt("has " + std::to_string(file_bytes) + " bytes instead of " + std::to_string(expected));
  }
  tokens_.resize(fixed.n_tokens);
  std::memcpy(tokens_.data(), header.data() + sizeof(FixedHeader) + layer_bytes,
              tokens_.size() * sizeof(int32_t));
  payload_offset_ = header.size();
}

void KvSnapshot::read(Backend& backend, std::span<const KvPageId> pages) const {
  LECTERN_CHECK(tokens_.size() <= pages.size() * kKvPageTokens);
  uint64_t offset = payload_offset_;
  std::vector<std::byte> block;
  for_blocks(tokens_.size(), [&](size_t index, size_t n) {
    const size_t bytes = n * bytes_per_token_;
    block.resize(bytes + sizeof(uint64_t));
    read_all(file_, offset, block, path_);
    uint64_t checksum;
    std::memcpy(&checksum, block.data() + bytes, sizeof(checksum));
    if (fast_hash(std::span(block).first(bytes)) != checksum) {
      throw Error(ErrorCode::kCorrupt, path_.string() + ": the block at byte " + std::to_string(offset) +
                                           " is damaged; delete the file, it can be made again");
    }
    backend.import_kv(pages[index], static_cast<int>(n), block.data());
    offset += block.size();
  });
}

}  // namespace lectern
