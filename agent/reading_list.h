// What of long documents is read, and in which order, when not all of it can be: the text is cut into
// sections of equal length, each section's chunks are ranked by how well they say what it is about
// (salience.h), and the sections take turns. So whatever limit ends the reading, what has been read is spread
// over the whole, and each section's most telling chunks came first. When all is read, it is read in order.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "agent/document_source.h"
#include "base/cancel.h"

namespace lectern {

class ReadingList {
 public:
  struct Limits {
    int64_t chunks = 0;  // at most; 0: all
    int sections = 1;    // when not all chunks are read, or not surely
    bool in_order = false;
  };

  // Reads through the documents once, holding the text of one section at a time. `relevance`: by chunk id, 0
  // to 1; what the request itself asks for comes sooner. Keeps a reference to `documents`.
  ReadingList(DocumentSource& documents, const std::vector<int64_t>& ids, int64_t n_chunks,
              const Limits& limits, const std::unordered_map<int64_t, double>& relevance,
              const CancelToken& cancel);

  // The next chunks that together fill one reading: as many as `fits` takes, at least one, of one section, in
  // the order of the documents. Empty at the end.
  template <typename Fits>
  std::vector<SourcePassage> next(const Fits& fits) {
    std::vector<SourcePassage> span;
    Section* section = next_section();
    while (section != nullptr && section->next < section->chunks.size() && n_read_ < limit_) {
      const Place place = section->chunks[section->next];
      std::vector<SourcePassage> chunk = documents_->read(place.document_id, place.ordinal, 1);
      if (!chunk.empty() && !span.empty() && !fits(span, chunk.front())) break;
      ++section->next;
      if (chunk.empty()) continue;
      ++n_read_;
      span.push_back(std::move(chunk.front()));
    }
    sort_by_place(span);
    return span;
  }

  int64_t n_read() const { return n_read_; }
  int64_t n_to_read() const { return limit_; }

  static void sort_by_place(std::vector<SourcePassage>& chunks);

 private:
  struct Place {
    int64_t document_id = 0;
    int ordinal = 0;
  };
  struct Section {
    std::vector<Place> chunks;  // in the order they are to be read
    size_t next = 0;
  };

  void add_section(std::vector<SourcePassage>& chunks, const std::unordered_map<int64_t, double>& relevance);
  Section* next_section();

  DocumentSource* documents_;
  int64_t limit_;
  bool in_order_;
  std::vector<Section> sections_;
  std::vector<size_t> turns_;  // sections, those of one round spread over the documents from its start on
  size_t turn_ = 0;
  int64_t n_read_ = 0;
};

// Calls `take` with every chunk of the documents, in order, until it returns false.
template <typename Take>
void for_each_chunk(DocumentSource& documents, const std::vector<int64_t>& ids, const CancelToken& cancel,
                    const Take& take) {
  constexpr int kChunksAtOnce = 64;
  for (const int64_t id : ids) {
    for (int first = 0;; first += kChunksAtOnce) {
      cancel.throw_if_cancelled();
      std::vector<SourcePassage> some = documents.read(id, first, kChunksAtOnce);
      const bool last = some.size() < kChunksAtOnce;
      for (SourcePassage& chunk : some) {
        if (!take(std::move(chunk))) return;
      }
      if (last) break;
    }
  }
}

}  // namespace lectern
