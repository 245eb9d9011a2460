// The coding of posting lists: numbers of chunks ascending, each with the term's frequency. Blocks of 128 are
// bit-packed in four interleaved lanes, so that four neighbours are unpacked at once by 128-bit instructions;
// what is left over at the end is coded in variable-length bytes. Pure functions on memory; decoders check
// every length and never read outside what they are given. Format: docs/file_formats.md, "Search index".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

inline constexpr uint32_t kBlockPostings = 128;

// Appends 7 bits a byte, lowest first.
void append_varint(std::string& out, uint64_t value);

// Reads what append_* wrote; throws Error(kCorrupt) naming `origin` when the bytes end early or say the
// impossible.
class PostingReader {
 public:
  PostingReader(std::string_view bytes, const char* origin) : bytes_(bytes), origin_(origin) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  uint64_t varint();
  uint32_t varint32(uint32_t limit);  // refuses values above `limit`
  uint8_t byte();
  std::string_view take(size_t count);
  [[noreturn]] void fail(const char* why) const;

 private:
  std::string_view bytes_;
  size_t offset_ = 0;
  const char* origin_;
};

// Bits that hold every one of the values; 0 when all are 0.
uint32_t bits_needed(std::span<const uint32_t> values);

// 128 values below 2^bits (bits <= 32) to 16 * bits bytes, and back. Value i lies in lane i % 4 at bit
// (i / 4) * bits; the 32-bit words of the lanes alternate.
void pack_block(const uint32_t* values, uint32_t bits, std::string& out);
void unpack_block(const uint8_t* packed, uint32_t bits, uint32_t* values);
inline constexpr size_t packed_bytes(uint32_t bits) {
  return size_t{16} * bits;
}

// A frequency and a chunk length such that no posting of the block scores more than the best of these pairs.
// Kept instead of a score, because the score depends on averages that change with the collection.
struct Impact {
  uint32_t frequency = 1;
  uint32_t length = 0;

  bool operator==(const Impact&) const = default;
};
inline constexpr size_t kMaxImpacts = 3;

struct ImpactSet {
  std::array<Impact, kMaxImpacts> items;  // both numbers ascending
  uint32_t count = 0;
};

// The pairs no other pair beats in both numbers, merged down to kMaxImpacts; reorders its argument.
ImpactSet best_impacts(std::vector<Impact>& all);

struct Posting {
  uint32_t chunk = 0;  // within its segment
  uint32_t frequency = 0;

  bool operator==(const Posting&) const = default;
};

struct BlockInfo {
  uint32_t last_chunk = 0;  // of the block
  uint32_t count = 0;       // kBlockPostings, less in the last
  uint32_t offset = 0;      // of its bytes, from the first block's
  uint8_t chunk_bits = 0;   // packed blocks only
  uint8_t frequency_bits = 0;
  ImpactSet impacts;
};

// One term's postings, ascending in `chunk`; `lengths` are by chunk. Appends the coded list to `out`.
void encode_postings(std::span<const Posting> postings, std::span<const uint16_t> lengths, std::string& out);

// The coded list seen as blocks. Holds a view of the bytes.
class PostingList {
 public:
  PostingList() = default;
  // `lengths` of all chunks of the segment. The bytes are checked here and in decode.
  PostingList(std::string_view bytes, uint32_t n_postings, std::span<const uint16_t> lengths);

  uint32_t size() const { return n_postings_; }
  const std::vector<BlockInfo>& blocks() const { return blocks_; }
  // Writes blocks()[block].count entries to each array, of kBlockPostings.
  void decode(size_t block, uint32_t* chunks, uint32_t* frequencies) const;
  void decode_all(std::vector<Posting>& out) const;

 private:
  void read_directory(PostingReader& reader, uint32_t n_chunks);
  void read_short_list(std::span<const uint16_t> lengths);

  std::vector<BlockInfo> blocks_;
  std::string_view data_;  // of the blocks
  uint32_t n_postings_ = 0;
};

}  // namespace lectern
