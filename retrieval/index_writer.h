// Changes a collection within a write session: documents with their chunks and postings together, so that one
// transaction covers all three. Keeps the number of segments small by merging neighbours of like size.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/cancel.h"
#include "retrieval/analyzer.h"
#include "retrieval/segment_builder.h"
#include "retrieval/store.h"

namespace lectern {

// How often a term of the chunk's title and headings counts beside its body's. Measured: docs/retrieval.md.
inline constexpr uint32_t kTitleWeight = 1;
inline constexpr uint32_t kHeadingWeight = 1;

// The terms of chunks as they are indexed: body, headings, title.
class ChunkAnalyzer {
 public:
  // The title of the document whose chunks come next, and its language.
  void start_document(const std::string& title, const std::string& language);
  void analyze(const Chunk& chunk, std::string_view text);

  std::span<const FieldTerms> fields() const { return fields_; }
  const std::string& language() const { return language_; }  // of the chunk's words

 private:
  Analyzer analyzer_;
  std::string title_, document_language_, language_, heading_path_;
  std::vector<Term> body_, heading_terms_, title_terms_;
  std::vector<FieldTerms> fields_;
};

class IndexWriter {
 public:
  explicit IndexWriter(WriteSession& session);

  // The following are inside a transaction of the session.
  void add(StoredDocument& document, std::string_view text, const std::vector<Chunk>& chunks);
  // The postings of one chunk alone, with ids ascending; for what has been analysed elsewhere.
  void add_chunk(int64_t id, std::span<const FieldTerms> fields, std::string_view language);
  void remove(const StoredDocument& document);
  // Adds the postings of a stored document's chunks once more, after drop_segments(); in order of chunks.
  void reanalyze(const StoredDocument& document);
  void drop_segments();
  // Writes what add() has gathered; call before commit().
  void flush();

  // Outside a transaction: merges what is due, each merge in many short transactions that leave the old
  // segments in force until the last. `final` also joins small segments, up to the number of chunks added.
  void merge(bool final, const CancelToken& cancel);
  // Removes what a killed process left behind.
  void clean();

 private:
  // A shown segment.
  struct Entry {
    int64_t id = 0;
    SegmentHeader header;
    LiveBits live;
    uint32_t n_live = 0;
    std::shared_ptr<const Segment> segment;  // loaded when chunks are removed or merged
  };

  const Segment& loaded(Entry& entry);
  void show(int64_t id, SegmentHeader header);
  void merge_run(size_t first, size_t count, const CancelToken& cancel);

  WriteSession& session_;
  ChunkAnalyzer analyzer_;
  SegmentBuilder builder_;
  std::vector<Entry> segments_;  // shown, in order of their chunks
  uint64_t n_added_ = 0;         // chunks
};

}  // namespace lectern
