#include "retrieval/segment.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace lectern {
namespace {

constexpr uint32_t kFormat = 1;
constexpr uint32_t kTermsPerBlock = 32;  // of the dictionary
constexpr size_t kMaxTerm = 1024;        // bytes; the analyzer's terms are shorter
constexpr uint32_t kMaxChunks = 1u << 28;

size_t index_of(SegmentArea area) {
  return static_cast<size_t>(area);
}

uint32_t blob_count(uint64_t bytes) {
  return static_cast<uint32_t>((bytes + kBlobBytes - 1) / kBlobBytes);
}

}  // namespace

uint64_t SegmentHeader::bytes() const {
  uint64_t sum = 0;
  for (const uint64_t area : area_bytes) sum += area;
  return sum;
}

std::string SegmentHeader::encode() const {
  std::string out;
  append_varint(out, kFormat);
  append_varint(out, n_chunks);
  append_varint(out, static_cast<uint64_t>(first_chunk_id));
  append_varint(out, static_cast<uint64_t>(last_chunk_id));
  append_varint(out, n_terms);
  append_varint(out, n_postings);
  for (const uint64_t area : area_bytes) append_varint(out, area);
  append_varint(out, languages.size());
  for (const std::string& language : languages) {
    append_varint(out, language.size());
    out += language;
  }
  return out;
}

SegmentHeader SegmentHeader::decode(std::string_view bytes) {
  PostingReader reader(bytes, "segment header");
  if (reader.varint() != kFormat) reader.fail("is of another format version");
  SegmentHeader header;
  header.n_chunks = reader.varint32(kMaxChunks);
  if (header.n_chunks == 0) reader.fail("has no chunks");
  for (int64_t* id : {&header.first_chunk_id, &header.last_chunk_id}) {
    const uint64_t value = reader.varint();
    if (value > INT64_MAX / 2) reader.fail("has an impossible chunk id");
    *id = static_cast<int64_t>(value);
  }
  header.n_terms = reader.varint();
  header.n_postings = reader.varint();
  for (uint64_t& area : header.area_bytes) {
    area = reader.varint();
    if (area > uint64_t{1} << 36) reader.fail("has an impossible size");
  }
  const uint64_t n_languages = reader.varint();
  if (n_languages > reader.remaining()) reader.fail("ends early");
  for (uint64_t i = 0; i < n_languages; ++i) header.languages.emplace_back(reader.take(reader.varint()));
  return header;
}

// Chunks area: the number of runs of successive ids, each run's distance from the id before and its length,
// then the lengths of the chunks, two bytes each.
SegmentWriter::SegmentWriter(std::span<const SegmentChunk> chunks, std::vector<std::string> languages,
                             BlobWriter writer)
    : writer_(std::move(writer)) {
  LECTERN_CHECK(!chunks.empty() && chunks.size() <= kMaxChunks);
  header_.n_chunks = static_cast<uint32_t>(chunks.size());
  header_.first_chunk_id = chunks.front().id;
  header_.last_chunk_id = chunks.back().id;
  header_.languages = std::move(languages);
  std::string runs;
  uint64_t n_runs = 0;
  int64_t next_id = 0;
  for (size_t begin = 0; begin < chunks.size();) {
    size_t end = begin + 1;
    while (end < chunks.size() && chunks[end].id == chunks[end - 1].id + 1) ++end;
    LECTERN_CHECK(chunks[begin].id >= next_id);
    append_varint(runs, static_cast<uint64_t>(chunks[begin].id - next_id));
    append_varint(runs, end - begin);
    next_id = chunks[end - 1].id + 1;
    ++n_runs;
    begin = end;
  }
  std::string table;
  append_varint(table, n_runs);
  table += runs;
  for (const SegmentChunk& chunk : chunks) {
    lengths_.push_back(chunk.length);
    table.append(reinterpret_cast<const char*>(&chunk.length), sizeof(chunk.length));
  }
  append(SegmentArea::kChunks, table);
}

// Dictionary block: where the postings of its first term lie; then for each term the bytes it shares with the
// one before, the rest of it, the number of its postings and their bytes.
void SegmentWriter::add_term(std::string_view term, std::span<const Posting> postings) {
  LECTERN_CHECK(!term.empty() && term.size() <= kMaxTerm && (header_.n_terms == 0 || term > last_term_));
  if (block_terms_ == 0) {
    first_term_ = term;
    last_term_.clear();
    append_varint(block_, header_.area_bytes[index_of(SegmentArea::kPostings)]);
  }
  const auto differs = std::mismatch(term.begin(), term.end(), last_term_.begin(), last_term_.end()).first;
  const auto shared = static_cast<size_t>(differs - term.begin());
  postings_.clear();
  encode_postings(postings, lengths_, postings_);
  append_varint(block_, shared);
  append_varint(block_, term.size() - shared);
  block_ += term.substr(shared);
  append_varint(block_, postings.size());
  append_varint(block_, postings_.size());
  append(SegmentArea::kPostings, postings_);
  last_term_ = term;
  ++header_.n_terms;
  header_.n_postings += postings.size();
  if (++block_terms_ == kTermsPerBlock) end_dictionary_block();
}

// Dictionary index: for each block its first term and its bytes.
void SegmentWriter::end_dictionary_block() {
  if (block_terms_ == 0) return;
  std::string entry;
  append_varint(entry, first_term_.size());
  entry += first_term_;
  append_varint(entry, block_.size());
  append(SegmentArea::kDictionaryIndex, entry);
  append(SegmentArea::kDictionary, block_);
  block_.clear();
  block_terms_ = 0;
}

SegmentHeader SegmentWriter::finish() {
  end_dictionary_block();
  for (size_t area = 0; area < kSegmentAreas; ++area)
    if (!pending_[area].empty()) writer_(static_cast<SegmentArea>(area), n_blobs_[area]++, pending_[area]);
  return header_;
}

void SegmentWriter::append(SegmentArea area, std::string_view bytes) {
  std::string& pending = pending_[index_of(area)];
  header_.area_bytes[index_of(area)] += bytes.size();
  while (pending.size() + bytes.size() >= kBlobBytes) {
    const size_t fits = kBlobBytes - pending.size();
    pending += bytes.substr(0, fits);
    bytes.remove_prefix(fits);
    writer_(area, n_blobs_[index_of(area)]++, pending);
    pending.clear();
  }
  pending += bytes;
}

Segment::Segment(int64_t id, SegmentHeader header, BlobReader& blobs) : id_(id), header_(std::move(header)) {
  for (size_t area = 0; area < kSegmentAreas; ++area)
    blobs_[area] = std::vector<std::atomic<const std::string*>>(blob_count(header_.area_bytes[area]));
  read_chunks(blobs);
  read_dictionary_index(blobs);
}

Segment::~Segment() {
  for (const auto& area : blobs_)
    for (const auto& blob : area) delete blob.load();
}

void Segment::read_chunks(BlobReader& blobs) {
  const std::string table = read_area(SegmentArea::kChunks, blobs);
  PostingReader reader(table, "chunk table");
  const uint64_t n_runs = reader.varint();
  if (n_runs > header_.n_chunks) reader.fail("has more runs than chunks");
  uint64_t n_chunks = 0;
  int64_t next_id = 0;
  for (uint64_t i = 0; i < n_runs; ++i) {
    const uint64_t gap = reader.varint();
    const uint64_t count = reader.varint();
    if (gap > INT64_MAX / 2 || next_id > INT64_MAX / 4 || count == 0 || count > header_.n_chunks - n_chunks)
      reader.fail("has a run out of range");
    runs_.push_back({static_cast<uint32_t>(n_chunks), next_id + static_cast<int64_t>(gap)});
    next_id = runs_.back().first_id + static_cast<int64_t>(count);
    n_chunks += count;
  }
  if (n_chunks != header_.n_chunks || runs_.front().first_id != header_.first_chunk_id ||
      next_id != header_.last_chunk_id + 1)
    reader.fail("disagrees with its header");
  const auto lengths = reader.take(header_.n_chunks * sizeof(uint16_t));
  lengths_.resize(header_.n_chunks);
  std::memcpy(lengths_.data(), lengths.data(), lengths.size());
  resident_bytes_ += lengths.size() + runs_.size() * sizeof(IdRun);
}

void Segment::read_dictionary_index(BlobReader& blobs) {
  index_text_ = read_area(SegmentArea::kDictionaryIndex, blobs);
  PostingReader reader(index_text_, "dictionary index");
  block_offsets_.push_back(0);
  while (reader.remaining() > 0) {
    first_terms_.push_back(reader.take(reader.varint()));
    const uint64_t bytes = reader.varint();
    if (bytes > header_.area_bytes[index_of(SegmentArea::kDictionary)] - block_offsets_.back())
      reader.fail("names bytes the dictionary does not have");
    block_offsets_.push_back(block_offsets_.back() + bytes);
  }
  resident_bytes_ += index_text_.size() + first_terms_.size() * (sizeof(std::string_view) + sizeof(uint64_t));
}

int64_t Segment::chunk_id(uint32_t chunk) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), chunk,
                                      [](uint32_t c, const IdRun& run) { return c < run.first_chunk; });
  const IdRun& run = *(after - 1);
  return run.first_id + (chunk - run.first_chunk);
}

uint32_t Segment::lower_bound(int64_t id) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), id,
                                      [](int64_t i, const IdRun& run) { return i < run.first_id; });
  if (after == runs_.begin()) return 0;
  const IdRun& run = *(after - 1);
  const uint32_t end = after == runs_.end() ? header_.n_chunks : after->first_chunk;
  return static_cast<uint32_t>(std::min<int64_t>(end, run.first_chunk + (id - run.first_id)));
}

const std::string& Segment::blob(SegmentArea area, uint32_t number, BlobReader& blobs) const {
  std::atomic<const std::string*>& slot = blobs_[index_of(area)][number];
  if (const std::string* loaded = slot.load(std::memory_order_acquire)) return *loaded;
  const std::lock_guard lock(mutex_);
  if (const std::string* loaded = slot.load(std::memory_order_relaxed)) return *loaded;
  auto read = std::make_unique<const std::string>(blobs.read_blob(id_, area, number));
  const uint64_t area_bytes = header_.area_bytes[index_of(area)];
  const uint64_t expected = std::min<uint64_t>(kBlobBytes, area_bytes - uint64_t{number} * kBlobBytes);
  if (read->size() != expected)
    throw Error(ErrorCode::kCorrupt, "search index: blob " + std::to_string(number) + " of segment " +
                                         std::to_string(id_) + " has " + std::to_string(read->size()) +
                                         " bytes instead of " + std::to_string(expected) +
                                         "; delete the collection and index its documents again");
  resident_bytes_.fetch_add(read->size(), std::memory_order_relaxed);
  slot.store(read.get(), std::memory_order_release);
  return *read.release();
}

std::string Segment::read_area(SegmentArea area, BlobReader& blobs) const {
  std::string all;
  for (uint32_t i = 0; i < blobs_[index_of(area)].size(); ++i) all += blobs.read_blob(id_, area, i);
  if (all.size() != header_.area_bytes[index_of(area)])
    throw Error(ErrorCode::kCorrupt,
                "search index: segment " + std::to_string(id_) +
                    " lacks a part; delete the collection and index its documents again");
  return all;
}

std::string_view Segment::view(SegmentArea area, uint64_t offset, uint64_t bytes, BlobReader& blobs,
                               std::string& copy) const {
  const uint64_t area_bytes = header_.area_bytes[index_of(area)];
  if (bytes == 0) return {};
  if (offset > area_bytes || bytes > area_bytes - offset)
    throw Error(ErrorCode::kCorrupt,
                "search index: the dictionary of segment " + std::to_string(id_) +
                    " points outside; delete the collection and index its documents again");
  const auto first = static_cast<uint32_t>(offset / kBlobBytes);
  const auto last = static_cast<uint32_t>((offset + bytes - 1) / kBlobBytes);
  const size_t begin = offset % kBlobBytes;
  if (first == last) return std::string_view(blob(area, first, blobs)).substr(begin, bytes);
  copy.clear();
  for (uint32_t i = first; i <= last; ++i) {
    const std::string_view part = blob(area, i, blobs);
    const size_t skip = i == first ? begin : 0;
    copy += part.substr(skip, static_cast<size_t>(bytes) - copy.size());
  }
  return copy;
}

std::optional<TermEntry> Segment::find(std::string_view term, BlobReader& blobs) const {
  const auto after = std::upper_bound(first_terms_.begin(), first_terms_.end(), term);
  if (after == first_terms_.begin()) return std::nullopt;
  const auto block = static_cast<size_t>(after - first_terms_.begin() - 1);
  TermIterator iterator(*this, blobs, block);
  while (iterator.valid() && iterator.block_ == block && iterator.term() < term) iterator.next();
  if (iterator.valid() && iterator.term() == term) return iterator.entry();
  return std::nullopt;
}

void Segment::read_postings(const TermEntry& entry, BlobReader& blobs, TermPostings& out) const {
  const auto bytes = view(SegmentArea::kPostings, entry.offset, entry.bytes, blobs, out.copy);
  out.list = PostingList(bytes, entry.n_postings, lengths_);
}

Segment::TermIterator::TermIterator(const Segment& segment, BlobReader& blobs, size_t block)
    : segment_(&segment), blobs_(&blobs) {
  enter_block(block);
}

void Segment::TermIterator::enter_block(size_t block) {
  block_ = block;
  term_.clear();
  valid_ = block < segment_->first_terms_.size();
  if (!valid_) return;
  const uint64_t begin = segment_->block_offsets_[block], end = segment_->block_offsets_[block + 1];
  reader_.emplace(segment_->view(SegmentArea::kDictionary, begin, end - begin, *blobs_, copy_),
                  "dictionary block");
  entry_ = {0, reader_->varint(), 0};
  read_entry();
}

void Segment::TermIterator::read_entry() {
  const uint64_t shared = reader_->varint();
  if (shared > term_.size()) reader_->fail("shares more bytes than there are");
  const uint64_t rest = reader_->varint();
  if (rest > kMaxTerm) reader_->fail("has a term too long");
  term_.resize(shared);
  term_ += reader_->take(rest);
  entry_.offset += entry_.bytes;
  entry_.n_postings = reader_->varint32(segment_->header_.n_chunks);
  entry_.bytes = reader_->varint();
  if (entry_.bytes > segment_->header_.area_bytes[index_of(SegmentArea::kPostings)])
    reader_->fail("has an impossible size");
}

void Segment::TermIterator::next() {
  if (reader_->remaining() > 0)
    read_entry();
  else
    enter_block(block_ + 1);
}

}  // namespace lectern
