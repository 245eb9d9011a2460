#include "retrieval/index_writer.h"

#include <algorithm>

#include "base/error.h"

namespace lectern {
namespace {

// Postings held in memory before they become a segment: about 64 MB.
constexpr size_t kMaxPostings = 4 << 20;
// Segments of one size class, a factor of 8 wide, are merged when 8 of them lie side by side.
constexpr size_t kMergeWidth = 8;
constexpr uint32_t kSmallestClass = 256;  // chunks
// Bytes written or deleted in one transaction of a merge.
constexpr uint64_t kSliceBytes = 8 << 20;
// A final merge rewrites no more chunks than this or twice those added.
constexpr uint64_t kFinalMergeChunks = 4096;

uint32_t size_class(uint32_t n_live) {
  uint32_t result = 0;
  for (uint64_t limit = kSmallestClass; n_live >= limit; limit *= kMergeWidth) ++result;
  return result;
}

}  // namespace

void ChunkAnalyzer::start_document(const std::string& title, const std::string& language) {
  title_ = title;
  document_language_ = language;
  heading_path_.clear();
  heading_terms_.clear();
  analyzer_.analyze_document(title_, title_terms_, document_language_);
}

void ChunkAnalyzer::analyze(const Chunk& chunk, std::string_view text) {
  language_ = analyzer_.analyze_document(text, body_, document_language_);
  if (chunk.heading_path != heading_path_) {
    heading_path_ = chunk.heading_path;
    analyzer_.analyze_document(heading_path_, heading_terms_, document_language_);
  }
  fields_ = {{body_, 1}, {heading_terms_, kHeadingWeight}};
  // A Markdown page's title is its outermost heading: once is enough.
  if (!heading_path_.starts_with(title_)) fields_.push_back({title_terms_, kTitleWeight});
}

IndexWriter::IndexWriter(WriteSession& session) : session_(session) {
  for (const StoredSegment& stored : session.segments()) {
    Entry entry;
    entry.id = stored.id;
    entry.header = SegmentHeader::decode(stored.header);
    entry.live = LiveBits(entry.header.n_chunks, stored.live);
    entry.n_live = entry.live.count();
    segments_.push_back(std::move(entry));
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const Entry& a, const Entry& b) { return a.header.first_chunk_id < b.header.first_chunk_id; });
}

void IndexWriter::add(StoredDocument& document, std::string_view text, const std::vector<Chunk>& chunks) {
  session_.add_document(document, text, chunks);
  analyzer_.start_document(document.title, document.language);
  int64_t id = document.first_chunk;
  for (const Chunk& chunk : chunks) {
    analyzer_.analyze(chunk, text.substr(chunk.begin, chunk.end - chunk.begin));
    add_chunk(id++, analyzer_.fields(), analyzer_.language());
  }
}

void IndexWriter::add_chunk(int64_t id, std::span<const FieldTerms> fields, std::string_view language) {
  builder_.add_chunk(id, fields, language);
  ++n_added_;
  if (builder_.n_postings() >= kMaxPostings) flush();
}

void IndexWriter::reanalyze(const StoredDocument& document) {
  analyzer_.start_document(document.title, document.language);
  constexpr int64_t kAtOnce = 1024;
  for (int64_t done = 0; done < document.n_chunks; done += kAtOnce) {
    int64_t id = document.first_chunk + done;
    for (const Chunk& chunk : session_.chunks(id, std::min(kAtOnce, document.n_chunks - done))) {
      analyzer_.analyze(chunk, session_.text(document, chunk.begin, chunk.end));
      add_chunk(id++, analyzer_.fields(), analyzer_.language());
    }
  }
}

void IndexWriter::remove(const StoredDocument& document) {
  LECTERN_CHECK(builder_.empty());  // what is not yet in a segment cannot be taken out
  session_.remove_document(document);
  const int64_t first = document.first_chunk, last = first + document.n_chunks;
  for (size_t i = 0; i < segments_.size();) {
    Entry& entry = segments_[i];
    if (entry.header.last_chunk_id < first || entry.header.first_chunk_id >= last) {
      ++i;
      continue;
    }
    const Segment& segment = loaded(entry);
    for (uint32_t chunk = segment.lower_bound(first), end = segment.lower_bound(last); chunk < end; ++chunk)
      entry.live.clear(chunk);
    entry.n_live = entry.live.count();
    if (entry.n_live == 0) {
      session_.hide_segment(entry.id);
      segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      session_.set_live(entry.id, entry.live.encode());
      ++i;
    }
  }
  session_.raise_generation();
}

void IndexWriter::drop_segments() {
  for (const Entry& entry : segments_) session_.hide_segment(entry.id);
  segments_.clear();
  session_.raise_generation();
}

void IndexWriter::flush() {
  if (builder_.empty()) return;
  const int64_t id = session_.new_segment();
  show(id, builder_.write([&](SegmentArea area, uint32_t number, std::string_view blob) {
    session_.write_blob(id, area, number, blob);
  }));
}

void IndexWriter::show(int64_t id, SegmentHeader header) {
  Entry entry;
  entry.id = id;
  entry.live = LiveBits(header.n_chunks);
  entry.n_live = header.n_chunks;
  entry.header = std::move(header);
  session_.show_segment(id, entry.header.encode(), entry.live.encode());
  session_.raise_generation();
  const auto after = std::find_if(segments_.begin(), segments_.end(), [&](const Entry& other) {
    return other.header.first_chunk_id > entry.header.first_chunk_id;
  });
  segments_.insert(after, std::move(entry));
}

const Segment& IndexWriter::loaded(Entry& entry) {
  if (entry.segment == nullptr)
    entry.segment = std::make_shared<const Segment>(entry.id, entry.header, session_);
  return *entry.segment;
}

void IndexWriter::merge(bool final, const CancelToken& cancel) {
  uint32_t largest = 0;
  for (const Entry& entry : segments_) largest = std::max(largest, size_class(entry.n_live));
  for (uint32_t size = 0; size <= largest; ++size) {
    for (size_t begin = 0; begin < segments_.size();) {
      size_t end = begin;
      while (end < segments_.size() && size_class(segments_[end].n_live) <= size) ++end;
      if (end - begin >= kMergeWidth) merge_run(begin, end - begin, cancel);
      begin = std::max(begin + 1, std::min(end, segments_.size()));
    }
  }
  // Segments that are mostly dead are rewritten.
  for (size_t i = 0; i < segments_.size(); ++i)
    if (segments_[i].n_live < segments_[i].header.n_chunks / 2) merge_run(i, 1, cancel);
  if (!final) return;
  const uint64_t allowed = std::max<uint64_t>(kFinalMergeChunks, 2 * n_added_);
  uint64_t sum = 0;
  size_t begin = segments_.size();
  while (begin > 0 && sum + segments_[begin - 1].n_live <= allowed) sum += segments_[--begin].n_live;
  if (segments_.size() - begin > 1) merge_run(begin, segments_.size() - begin, cancel);
  n_added_ = 0;
}

void IndexWriter::merge_run(size_t first, size_t count, const CancelToken& cancel) {
  std::vector<MergeInput> inputs;
  for (size_t i = first; i < first + count; ++i)
    inputs.push_back({&loaded(segments_[i]), &segments_[i].live});
  session_.begin();
  const int64_t id = session_.new_segment();
  uint64_t written = 0;
  SegmentHeader header =
      merge_segments(inputs, session_, [&](SegmentArea area, uint32_t number, std::string_view blob) {
        session_.write_blob(id, area, number, blob);
        written += blob.size();
        if (written < kSliceBytes) return;
        session_.commit();  // the segment is still hidden: a kill here leaves the old ones in force
        written = 0;
        cancel.throw_if_cancelled();
        session_.begin();
      });
  for (size_t i = first; i < first + count; ++i) session_.hide_segment(segments_[i].id);
  segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(first),
                  segments_.begin() + static_cast<ptrdiff_t>(first + count));
  show(id, std::move(header));
  session_.commit();
  clean();
}

void IndexWriter::clean() {
  for (bool more = true; more;) {
    session_.begin();
    more = session_.delete_hidden(kSliceBytes);
    session_.commit();
  }
}

}  // namespace lectern
