// Hashes: SHA-256 (FIPS 180-4) for files and documents, FNV-1a for in-memory keys, a fast one for checksums.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace lectern {

class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> data);
  void update(std::string_view data) { update(std::as_bytes(std::span(data.data(), data.size()))); }
  // Lower-case hexadecimal, 64 characters. Ends the computation.
  std::string hex_digest();

 private:
  void block(const uint8_t* data);

  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> buffer_{};
  uint64_t total_bytes_ = 0;
};

std::string sha256_hex(std::string_view data);

constexpr uint64_t fnv1a(std::string_view data) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : data) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

// For checksums and for telling large data apart, at about the speed of memory: every changed word changes
// the hash, but nobody is kept from making two inputs with the same one. Not for secrets or signatures.
uint64_t fast_hash(std::span<const std::byte> data);

}  // namespace lectern
