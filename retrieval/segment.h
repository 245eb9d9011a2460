// An immutable piece of the search index: chunks, their lengths, a sorted dictionary of terms and their
// postings. A segment is four streams of bytes cut into blobs, so that a database can hold it and a search
// reads only the blobs it needs. Format: docs/file_formats.md, "Search index".
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/postings.h"

namespace lectern {

// The streams of a segment.
enum class SegmentArea : uint32_t { kChunks, kDictionaryIndex, kDictionary, kPostings };
inline constexpr size_t kSegmentAreas = 4;
inline constexpr size_t kBlobBytes = 64 * 1024;
inline constexpr uint32_t kMaxChunkLength = UINT16_MAX;  // in terms; what is longer counts as this

// Where a segment's blobs are written: whole ones as they fill, in order within an area.
using BlobWriter = std::function<void(SegmentArea area, uint32_t number, std::string_view blob)>;

// Where they are read from. Throws Error(kCorrupt) when there is none.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  virtual std::string read_blob(int64_t segment, SegmentArea area, uint32_t number) = 0;
};

// The facts about a segment that are kept beside its blobs.
struct SegmentHeader {
  uint32_t n_chunks = 0;
  int64_t first_chunk_id = 0, last_chunk_id = 0;  // of its chunks, in the collection
  uint64_t n_terms = 0;
  uint64_t n_postings = 0;
  std::array<uint64_t, kSegmentAreas> area_bytes{};
  std::vector<std::string> languages;  // its words were stemmed by

  uint64_t bytes() const;
  std::string encode() const;
  static SegmentHeader decode(std::string_view bytes);
};

struct SegmentChunk {
  int64_t id = 0;       // in the collection
  uint16_t length = 0;  // in terms, title and headings included
};

// Writes a segment: all chunks first, then the terms in ascending order of their bytes.
class SegmentWriter {
 public:
  SegmentWriter(std::span<const SegmentChunk> chunks, std::vector<std::string> languages, BlobWriter writer);

  void add_term(std::string_view term, std::span<const Posting> postings);
  SegmentHeader finish();

 private:
  void append(SegmentArea area, std::string_view bytes);
  void end_dictionary_block();

  SegmentHeader header_;
  BlobWriter writer_;
  std::vector<uint16_t> lengths_;
  std::array<std::string, kSegmentAreas> pending_;
  std::array<uint32_t, kSegmentAreas> n_blobs_{};
  std::string block_, first_term_, last_term_, postings_;
  uint32_t block_terms_ = 0;
};

struct TermEntry {
  uint32_t n_postings = 0;
  uint64_t offset = 0;  // in the postings area
  uint64_t bytes = 0;
};

// A term's postings with the bytes they lie in.
struct TermPostings {
  PostingList list;
  std::string copy;  // of the bytes, when they straddle blobs
};

// Reads a segment; blobs are loaded when needed and kept. Safe from any thread.
class Segment {
 public:
  // Reads the chunk table and the index of the dictionary.
  Segment(int64_t id, SegmentHeader header, BlobReader& blobs);
  ~Segment();

  int64_t id() const { return id_; }
  const SegmentHeader& header() const { return header_; }
  uint32_t n_chunks() const { return header_.n_chunks; }
  std::span<const uint16_t> lengths() const { return lengths_; }
  int64_t chunk_id(uint32_t chunk) const;
  // The first chunk whose id is not below `id`; n_chunks() when there is none.
  uint32_t lower_bound(int64_t id) const;

  std::optional<TermEntry> find(std::string_view term, BlobReader& blobs) const;
  void read_postings(const TermEntry& entry, BlobReader& blobs, TermPostings& out) const;

  // All terms in order:
  //   for (Segment::TermIterator i(segment, blobs, 0); i.valid(); i.next()) ...
  class TermIterator;

  uint64_t resident_bytes() const { return resident_bytes_.load(std::memory_order_relaxed); }

 private:
  struct IdRun {
    uint32_t first_chunk;
    int64_t first_id;
  };

  const std::string& blob(SegmentArea area, uint32_t number, BlobReader& blobs) const;
  std::string read_area(SegmentArea area, BlobReader& blobs) const;
  // The bytes in their blob, or in `copy` when they straddle.
  std::string_view view(SegmentArea area, uint64_t offset, uint64_t bytes, BlobReader& blobs,
                        std::string& copy) const;
  void read_chunks(BlobReader& blobs);
  void read_dictionary_index(BlobReader& blobs);

  int64_t id_;
  SegmentHeader header_;
  std::vector<uint16_t> lengths_;
  std::vector<IdRun> runs_;
  std::string index_text_;                     // first terms of the dictionary's blocks
  std::vector<std::string_view> first_terms_;  // in index_text_
  std::vector<uint64_t> block_offsets_;        // in the dictionary, one more than blocks
  mutable std::array<std::vector<std::atomic<const std::string*>>, kSegmentAreas> blobs_;
  mutable std::mutex mutex_;  // for loading blobs
  mutable std::atomic<uint64_t> resident_bytes_{0};
};

class Segment::TermIterator {
 public:
  // From a block of the dictionary on.
  TermIterator(const Segment& segment, BlobReader& blobs, size_t block);
  TermIterator(const TermIterator&) = delete;
  TermIterator& operator=(const TermIterator&) = delete;

  bool valid() const { return valid_; }
  std::string_view term() const { return term_; }
  const TermEntry& entry() const { return entry_; }
  void next();

 private:
  friend class Segment;
  void enter_block(size_t block);
  void read_entry();

  const Segment* segment_;
  BlobReader* blobs_;
  size_t block_ = 0;
  std::string copy_;
  std::optional<PostingReader> reader_;
  std::string term_;
  TermEntry entry_;
  bool valid_ = false;
};

}  // namespace lectern
