// Makes segments: from analysed chunks in memory, or from older segments. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/analyzer.h"
#include "retrieval/segment.h"

namespace lectern {

// Which chunks of a segment have not been deleted.
class LiveBits {
 public:
  LiveBits() = default;
  explicit LiveBits(uint32_t n_chunks);
  // Throws Error(kCorrupt) when the bytes are not those of a bitmap of `n_chunks`.
  LiveBits(uint32_t n_chunks, std::string_view bytes);

  bool test(uint32_t chunk) const { return (words_[chunk / 64] >> (chunk % 64) & 1) != 0; }
  void clear(uint32_t chunk) { words_[chunk / 64] &= ~(uint64_t{1} << (chunk % 64)); }
  // Keeps what is set in both.
  void intersect(const LiveBits& other);
  uint32_t count() const;
  std::string encode() const;

 private:
  std::vector<uint64_t> words_;
};

// Terms of one field of a chunk; each occurrence counts `weight` times.
struct FieldTerms {
  std::span<const Term> terms;
  uint32_t weight = 1;
};

// Inverts chunks, in order of their ids, into a segment.
class SegmentBuilder {
 public:
  void add_chunk(int64_t id, std::span<const FieldTerms> fields, std::string_view language);

  bool empty() const { return chunks_.empty(); }
  size_t n_postings() const { return postings_.size(); }
  // Writes what was added as one segment and starts anew.
  SegmentHeader write(const BlobWriter& writer);

 private:
  struct TermPosting {
    uint32_t term;
    Posting posting;
  };
  struct TermState {
    uint64_t text_begin = 0;
    uint32_t text_size = 0;
    uint32_t n_postings = 0;
    size_t last_posting = 0;  // in postings_, when n_postings > 0
  };

  uint32_t term_id(std::string_view text);
  void grow_slots();
  std::string_view text_of(const TermState& term) const {
    return std::string_view(texts_).substr(term.text_begin, term.text_size);
  }

  std::vector<SegmentChunk> chunks_;
  std::vector<std::string> languages_;
  std::vector<TermPosting> postings_;  // in order of chunk
  std::vector<TermState> terms_;
  std::string texts_;
  std::vector<uint32_t> slots_;  // open-addressed: term + 1; 0 is free
};

// The live chunks of adjacent segments, in order of their ids, as one segment. At least one must be live.
struct MergeInput {
  const Segment* segment;
  const LiveBits* live;
};
SegmentHeader merge_segments(std::span<const MergeInput> inputs, BlobReader& blobs, const BlobWriter& writer);

}  // namespace lectern
