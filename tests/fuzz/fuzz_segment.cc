// The decoders of the search index: a segment's header, chunk table, dictionary and postings, and lists of
// live chunks. The input is cut into the parts by their sizes, two bytes each, at its beginning.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "retrieval/bm25.h"
#include "retrieval/segment_builder.h"

namespace {

using namespace lectern;

constexpr size_t kParts = 2 + kSegmentAreas;  // header, live chunks, areas

class Parts : public BlobReader {
 public:
  Parts(const uint8_t* data, size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::vector<size_t> sizes;
    for (size_t i = 0; i < kParts && rest.size() >= 2; ++i) {
      sizes.push_back(static_cast<uint8_t>(rest[0]) | size_t{static_cast<uint8_t>(rest[1])} << 8);
      rest.remove_prefix(2);
    }
    sizes.resize(kParts);
    for (const size_t bytes : sizes) {
      parts_.push_back(rest.substr(0, bytes));
      rest.remove_prefix(parts_.back().size());
    }
  }

  std::string_view header() const { return parts_[0]; }
  std::string_view live() const { return parts_[1]; }
  std::string read_blob(int64_t, SegmentArea area, uint32_t number) override {
    const std::string_view part = parts_[2 + static_cast<size_t>(area)];
    const size_t begin = size_t{number} * kBlobBytes;
    if (begin >= part.size()) throw Error(ErrorCode::kCorrupt, "no such blob");
    return std::string(part.substr(begin, kBlobBytes));
  }

 private:
  std::vector<std::string_view> parts_;
};

void read_all(Parts& parts) {
  const SegmentHeader header = SegmentHeader::decode(parts.header());
  if (header.n_chunks > 1u << 20) return;  // memory for so many is not what is tested
  const auto segment = std::make_shared<const Segment>(1, header, parts);
  std::vector<Posting> postings;
  TermPostings coded;
  std::vector<QueryTerm> query;
  uint32_t n_terms = 0;
  for (Segment::TermIterator term(*segment, parts, 0); term.valid() && n_terms < 10'000;
       term.next(), ++n_terms) {
    if (query.size() < 4) query.push_back({std::string(term.term()), n_terms, 1.0});
    segment->read_postings(term.entry(), parts, coded);
    coded.list.decode_all(postings);
    for (const Posting& posting : postings) segment->chunk_id(posting.chunk);
  }
  const auto live = std::make_shared<const LiveBits>(header.n_chunks, parts.live());
  const IndexSnapshot index = make_snapshot({{segment, live}}, Bm25{});
  for (const ScoredChunk& chunk : search_bm25(index, query, 10, parts))
    explain_bm25(index, query, chunk.id, parts);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Parts parts(data, size);
  try {
    read_all(parts);
  } catch (const lectern::Error& error) {
    if (error.code() != ErrorCode::kCorrupt) throw;
  }
  return 0;
}
