#include "retrieval/postings.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace lectern {
namespace {

constexpr uint32_t kLanes = 4;
constexpr uint32_t kRows = kBlockPostings / kLanes;  // values in a lane

template <uint32_t kBits>
void unpack_lanes(const uint8_t* packed, uint32_t* values) {
  if constexpr (kBits == 0) {
    std::memset(values, 0, kBlockPostings * sizeof(uint32_t));
  } else {
    constexpr uint32_t kMask = kBits == 32 ? ~0u : (1u << kBits) - 1;
    uint32_t words[kBits * kLanes];
    std::memcpy(words, packed, sizeof(words));
    for (uint32_t row = 0; row < kRows; ++row) {
      const uint32_t bit = row * kBits, word = bit / 32, shift = bit % 32;
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        uint32_t value = words[word * kLanes + lane] >> shift;
        if (shift + kBits > 32) value |= words[(word + 1) * kLanes + lane] << (32 - shift);
        values[row * kLanes + lane] = value & kMask;
      }
    }
  }
}

template <size_t... kBits>
constexpr auto unpack_table(std::index_sequence<kBits...>) {
  return std::array<void (*)(const uint8_t*, uint32_t*), sizeof...(kBits)>{&unpack_lanes<kBits>...};
}
constexpr auto kUnpack = unpack_table(std::make_index_sequence<33>());

void append_impacts(const ImpactSet& impacts, std::string& out) {
  out.push_back(static_cast<char>(impacts.count));
  for (uint32_t i = 0; i < impacts.count; ++i) {
    append_varint(out, impacts.items[i].frequency);
    append_varint(out, impacts.items[i].length);
  }
}

ImpactSet read_impacts(PostingReader& reader) {
  ImpactSet impacts;
  impacts.count = reader.byte();
  if (impacts.count == 0 || impacts.count > kMaxImpacts) reader.fail("has an impossible number of impacts");
  for (uint32_t i = 0; i < impacts.count; ++i) {
    impacts.items[i].frequency = reader.varint32(UINT32_MAX);
    impacts.items[i].length = reader.varint32(UINT16_MAX);
  }
  return impacts;
}

}  // namespace

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void PostingReader::fail(const char* why) const {
  throw Error(ErrorCode::kCorrupt, std::string("search index: ") + origin_ + " at byte " +
                                       std::to_string(offset_) + " " + why +
                                       "; delete the collection and index its documents again");
}

uint8_t PostingReader::byte() {
  if (remaining() == 0) fail("ends early");
  return static_cast<uint8_t>(bytes_[offset_++]);
}

uint64_t PostingReader::varint() {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift < 64; shift += 7) {
    const uint64_t part = byte();
    value |= (part & 0x7F) << shift;
    if (part < 0x80) return value;
  }
  fail("has a number without end");
}

uint32_t PostingReader::varint32(uint32_t limit) {
  const uint64_t value = varint();
  if (value > limit) fail("has a number out of range");
  return static_cast<uint32_t>(value);
}

std::string_view PostingReader::take(size_t count) {
  if (count > remaining()) fail("ends early");
  offset_ += count;
  return bytes_.substr(offset_ - count, count);
}

uint32_t bits_needed(std::span<const uint32_t> values) {
  uint32_t any = 0;
  for (const uint32_t value : values) any |= value;
  return static_cast<uint32_t>(std::bit_width(any));
}

void pack_block(const uint32_t* values, uint32_t bits, std::string& out) {
  uint32_t words[32 * kLanes + kLanes] = {};
  for (uint32_t i = 0; i < kBlockPostings; ++i) {
    const uint32_t lane = i % kLanes, bit = i / kLanes * bits, word = bit / 32, shift = bit % 32;
    words[word * kLanes + lane] |= values[i] << shift;
    if (shift + bits > 32) words[(word + 1) * kLanes + lane] |= values[i] >> (32 - shift);
  }
  out.append(reinterpret_cast<const char*>(words), packed_bytes(bits));
}

void unpack_block(const uint8_t* packed, uint32_t bits, uint32_t* values) {
  kUnpack[bits](packed, values);
}

ImpactSet best_impacts(std::vector<Impact>& all) {
  // By falling frequency, then rising length; each pair shorter than all before it is beaten by none.
  std::sort(all.begin(), all.end(), [](const Impact& a, const Impact& b) {
    return a.frequency != b.frequency ? a.frequency > b.frequency : a.length < b.length;
  });
  std::vector<Impact> best;
  for (const Impact& impact : all)
    if (best.empty() || impact.length < best.back().length) best.push_back(impact);
  // Too many: the pairs of highest frequency become one that beats them all.
  while (best.size() > kMaxImpacts) {
    best[1].frequency = best[0].frequency;
    best.erase(best.begin());
  }
  ImpactSet result;
  result.count = static_cast<uint32_t>(best.size());
  std::reverse_copy(best.begin(), best.end(), result.items.begin());
  return result;
}

// Layout: a list shorter than a block is one block in variable-length bytes. A longer one has the bytes of
// its directory, the directory, the blocks. The directory has for each block the distance from the last chunk
// of the block before to the last of this one, the two bit widths of a packed block, and its impacts.
void encode_postings(std::span<const Posting> postings, std::span<const uint16_t> lengths, std::string& out) {
  std::string directory, data;
  std::vector<Impact> impacts;
  int64_t previous = -1;
  for (size_t begin = 0; begin < postings.size(); begin += kBlockPostings) {
    const auto block = postings.subspan(begin, std::min<size_t>(kBlockPostings, postings.size() - begin));
    append_varint(directory, static_cast<uint64_t>(block.back().chunk - previous - 1));
    uint32_t gaps[kBlockPostings], frequencies[kBlockPostings];
    impacts.clear();
    for (size_t i = 0; i < block.size(); ++i) {
      LECTERN_CHECK(block[i].chunk > previous && block[i].frequency > 0);
      gaps[i] = static_cast<uint32_t>(block[i].chunk - previous - 1);
      frequencies[i] = block[i].frequency - 1;
      previous = block[i].chunk;
      impacts.push_back({block[i].frequency, lengths[block[i].chunk]});
    }
    if (block.size() == kBlockPostings) {
      const uint32_t gap_bits = bits_needed(gaps), frequency_bits = bits_needed(frequencies);
      directory.push_back(static_cast<char>(gap_bits));
      directory.push_back(static_cast<char>(frequency_bits));
      pack_block(gaps, gap_bits, data);
      pack_block(frequencies, frequency_bits, data);
    } else {  // most frequencies are 1: told by the gap's lowest bit
      for (size_t i = 0; i < block.size(); ++i) {
        append_varint(data, uint64_t{gaps[i]} << 1 | (frequencies[i] != 0));
        if (frequencies[i] != 0) append_varint(data, frequencies[i]);
      }
    }
    append_impacts(best_impacts(impacts), directory);
  }
  if (postings.size() >= kBlockPostings) {
    append_varint(out, directory.size());
    out += directory;
  }
  out += data;
}

PostingList::PostingList(std::string_view bytes, uint32_t n_postings, std::span<const uint16_t> lengths)
    : n_postings_(n_postings) {
  PostingReader reader(bytes, "posting list");
  if (n_postings == 0 || n_postings > lengths.size()) reader.fail("has an impossible number of postings");
  if (n_postings < kBlockPostings) {
    data_ = bytes;
    read_short_list(lengths);
  } else {
    read_directory(reader, static_cast<uint32_t>(lengths.size()));
  }
}

void PostingList::read_directory(PostingReader& reader, uint32_t n_chunks) {
  const auto directory_bytes = reader.take(reader.varint());
  data_ = reader.take(reader.remaining());
  PostingReader directory(directory_bytes, "posting directory");
  const size_t n_blocks = (n_postings_ + size_t{kBlockPostings} - 1) / kBlockPostings;
  if (n_blocks > directory_bytes.size()) directory.fail("is too short");
  blocks_.resize(n_blocks);
  uint64_t next_chunk = 0;  // the smallest the block may begin with
  uint64_t offset = 0;
  for (size_t i = 0; i < n_blocks; ++i) {
    BlockInfo& block = blocks_[i];
    block.count = std::min<uint32_t>(kBlockPostings, n_postings_ - static_cast<uint32_t>(i) * kBlockPostings);
    const uint64_t last = next_chunk + directory.varint32(UINT32_MAX);
    if (last >= n_chunks || last - next_chunk + 1 < block.count) directory.fail("names a chunk out of range");
    block.last_chunk = static_cast<uint32_t>(last);
    next_chunk = last + 1;
    if (offset > UINT32_MAX) directory.fail("needs more bytes than a list may have");
    block.offset = static_cast<uint32_t>(offset);
    if (block.count == kBlockPostings) {
      block.chunk_bits = directory.byte();
      block.frequency_bits = directory.byte();
      if (block.chunk_bits > 32 || block.frequency_bits > 32) directory.fail("has an impossible bit width");
      offset += packed_bytes(block.chunk_bits) + packed_bytes(block.frequency_bits);
    }
    if (offset > data_.size()) directory.fail("needs more bytes than there are");
    block.impacts = read_impacts(directory);
  }
}

void PostingList::read_short_list(std::span<const uint16_t> lengths) {
  PostingReader reader(data_, "posting list");
  BlockInfo block;
  block.count = n_postings_;
  std::vector<Impact> impacts;
  uint64_t next = 0;
  for (uint32_t i = 0; i < n_postings_; ++i) {
    const uint64_t coded = reader.varint();
    const uint64_t chunk = next + (coded >> 1);
    if (coded >> 1 >= lengths.size() || chunk >= lengths.size()) reader.fail("names a chunk out of range");
    const uint32_t frequency = (coded & 1) == 0 ? 1 : reader.varint32(UINT32_MAX - 1) + 1;
    impacts.push_back({frequency, lengths[chunk]});
    block.last_chunk = static_cast<uint32_t>(chunk);
    next = chunk + 1;
  }
  block.impacts = best_impacts(impacts);
  blocks_.push_back(block);
}

void PostingList::decode(size_t index, uint32_t* chunks, uint32_t* frequencies) const {
  const BlockInfo& block = blocks_[index];
  const uint32_t first = index == 0 ? 0 : blocks_[index - 1].last_chunk + 1;
  PostingReader reader(data_.substr(block.offset), "posting block");
  if (block.count == kBlockPostings) {
    const auto* packed = reinterpret_cast<const uint8_t*>(data_.data() + block.offset);
    unpack_block(packed, block.chunk_bits, chunks);
    unpack_block(packed + packed_bytes(block.chunk_bits), block.frequency_bits, frequencies);
    for (uint32_t i = 0; i < kBlockPostings; ++i) ++frequencies[i];
  } else {
    for (uint32_t i = 0; i < block.count; ++i) {
      const uint64_t coded = reader.varint();
      if (coded >> 1 > UINT32_MAX) reader.fail("has a gap out of range");
      chunks[i] = static_cast<uint32_t>(coded >> 1);
      frequencies[i] = (coded & 1) == 0 ? 1 : reader.varint32(UINT32_MAX - 1) + 1;
    }
  }
  // Gaps to chunk numbers. Sums may wrap on damaged data: the order is checked over the whole block.
  uint32_t next = first;
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < block.count; ++i) {
    const uint32_t chunk = next + chunks[i];
    wrong |= static_cast<uint32_t>(chunk < next) | static_cast<uint32_t>(chunk > block.last_chunk) |
             static_cast<uint32_t>(frequencies[i] == 0);
    chunks[i] = chunk;
    next = chunk + 1;
  }
  if (wrong != 0 || next != block.last_chunk + 1) reader.fail("disagrees with its directory");
}

void PostingList::decode_all(std::vector<Posting>& out) const {
  out.clear();
  uint32_t chunks[kBlockPostings], frequencies[kBlockPostings];
  for (size_t block = 0; block < blocks_.size(); ++block) {
    decode(block, chunks, frequencies);
    for (uint32_t i = 0; i < blocks_[block].count; ++i) out.push_back({chunks[i], frequencies[i]});
  }
}

}  // namespace lectern
