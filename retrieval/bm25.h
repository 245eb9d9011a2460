// Exact top-k by BM25 over segments: MAXSCORE over windows of 4,096 chunks, term by term within a window.
// Scores are sums of whole numbers (each term's part, scaled to fit 30 bits and rounded), so that they do not
// depend on the order of summation and the order of results is the same whatever was skipped. Thread-safe on
// a shared IndexSnapshot.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "retrieval/segment.h"
#include "retrieval/segment_builder.h"

namespace lectern {

struct Bm25 {
  double k1 = 1.2;
  double b = 0.75;
};

// Lucene's: never negative.
double bm25_idf(uint64_t n_chunks, uint64_t n_containing);

// The part a term of frequency `frequency` has in a score. Grows with the frequency and falls with the
// chunk's length (`norm`) in floating point too: bounds from one chunk hold for others.
inline int32_t bm25_part(float weight, float norm, uint32_t frequency) {
  return static_cast<int32_t>(weight / (1.0f + norm / static_cast<float>(frequency)));
}

// A segment as of one moment: which of its chunks live, and their length norms.
struct SegmentView {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const LiveBits> live;
  uint32_t n_live = 0;
  uint64_t live_length = 0;    // sum of the live chunks' lengths
  std::vector<float> norms;    // by chunk: IndexSnapshot::norm of its length
  std::vector<uint32_t> dead;  // ascending

  // Deleted chunks that hold a term, counted once.
  struct DeadCounts {
    std::mutex mutex;
    std::unordered_map<std::string, uint32_t> by_term;
  };
  std::shared_ptr<DeadCounts> dead_counts = std::make_shared<DeadCounts>();
};

// The whole index as of one moment.
struct IndexSnapshot {
  std::vector<SegmentView> segments;  // ascending chunk ids
  uint64_t n_chunks = 0;              // live
  uint64_t total_length = 0;
  std::vector<std::string> languages;  // the words of all segments were stemmed by
  // A chunk's norm is k1 * (1 - b + b * length / average length).
  float least_norm = 0, norm_slope = 0;

  float norm(uint32_t length) const { return least_norm + norm_slope * static_cast<float>(length); }
};

IndexSnapshot make_snapshot(
    std::vector<std::pair<std::shared_ptr<const Segment>, std::shared_ptr<const LiveBits>>> segments,
    const Bm25& bm25);

struct QueryTerm {
  std::string text;
  uint32_t word = 0;  // terms of one word are alternatives: the commonest one's idf holds for all
  double weight = 1;
};

struct ScoredChunk {
  int64_t id = 0;
  double score = 0;
};

// Ranges of chunk ids, [first, last), ascending and disjoint.
using ChunkRanges = std::vector<std::pair<int64_t, int64_t>>;

// The k best live chunks that hold a term, best first, ties by id; inside `within` unless that is null.
std::vector<ScoredChunk> search_bm25(const IndexSnapshot& index, std::span<const QueryTerm> terms, size_t k,
                                     BlobReader& blobs, const ChunkRanges* within = nullptr);

// The most that a chunk could score which held every word of the query, with the words that no chunk holds
// counted as the rarest: what makes the scores of different queries comparable. 0 for no terms.
double perfect_score(const IndexSnapshot& index, std::span<const QueryTerm> terms, BlobReader& blobs);

// Every term's part of a chunk's score, in the order of `terms`; their sum is the score.
std::vector<double> explain_bm25(const IndexSnapshot& index, std::span<const QueryTerm> terms,
                                 int64_t chunk_id, BlobReader& blobs);

// Live chunks holding the term.
uint64_t count_chunks(const IndexSnapshot& index, const std::string& term, BlobReader& blobs);

}  // namespace lectern
