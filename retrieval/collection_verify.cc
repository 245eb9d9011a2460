#include "retrieval/collection_verify.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"
#include "retrieval/index_writer.h"

namespace lectern {
namespace {

[[noreturn]] void disagree(const std::string& what) {
  throw Error(ErrorCode::kCorrupt,
              "the collection's index is damaged: " + what + "; delete it and index its documents again");
}

// What a chunk is in the index, order of terms aside.
struct ChunkSum {
  uint64_t terms = 0;  // sum of hashes of its terms with their frequencies
  uint32_t length = 0;

  bool operator==(const ChunkSum&) const = default;
};

uint64_t hash_of(std::string_view term, uint32_t frequency) {
  return (fnv1a(term) ^ frequency) * 0x9E3779B97F4A7C15u;
}

using ChunkSums = std::unordered_map<int64_t, ChunkSum>;

void read_segment(const StoredSegment& stored, StoreSession& session, ChunkSums& sums) {
  const std::string name = "segment " + std::to_string(stored.id);
  const Segment segment(stored.id, SegmentHeader::decode(stored.header), session);
  const LiveBits live(segment.n_chunks(), stored.live);
  for (uint32_t chunk = 0; chunk < segment.n_chunks(); ++chunk)
    if (live.test(chunk) &&
        !sums.emplace(segment.chunk_id(chunk), ChunkSum{0, segment.lengths()[chunk]}).second)
      disagree("chunk " + std::to_string(segment.chunk_id(chunk)) + " is in two segments");
  uint64_t n_terms = 0, n_postings = 0;
  std::string last;
  TermPostings coded;
  std::vector<Posting> postings;
  for (Segment::TermIterator term(segment, session, 0); term.valid(); term.next()) {
    if (n_terms++ > 0 && term.term() <= last) disagree(name + " has its terms out of order");
    last = term.term();
    segment.read_postings(term.entry(), session, coded);
    coded.list.decode_all(postings);
    n_postings += postings.size();
    for (const Posting& posting : postings)
      if (live.test(posting.chunk))
        sums[segment.chunk_id(posting.chunk)].terms += hash_of(last, posting.frequency);
  }
  if (n_terms != segment.header().n_terms || n_postings != segment.header().n_postings)
    disagree(name + " has another number of terms or postings than it says");
}

ChunkSum analysed(ChunkAnalyzer& analyzer, const Chunk& chunk, const std::string& text) {
  analyzer.analyze(chunk, text);
  std::unordered_map<std::string_view, uint32_t> frequencies;
  uint64_t length = 0;
  for (const FieldTerms& field : analyzer.fields()) {
    length += field.terms.size() * field.weight;
    for (const Term& term : field.terms) frequencies[term.text] += field.weight;
  }
  ChunkSum sum;
  sum.length = static_cast<uint32_t>(std::min<uint64_t>(length, kMaxChunkLength));
  for (const auto& [term, frequency] : frequencies) sum.terms += hash_of(term, frequency);
  return sum;
}

}  // namespace

void verify_store(StoreSession& session) {
  session.check_integrity();
  ChunkSums sums;
  for (const StoredSegment& segment : session.segments()) read_segment(segment, session, sums);

  const bool same_analysis = session.analyzer_version() == Analyzer::version();
  ChunkAnalyzer analyzer;
  size_t n_chunks = 0;
  for (const StoredDocument& document : session.documents()) {
    analyzer.start_document(document.title, document.language);
    const std::vector<Chunk> chunks = session.chunks(document.first_chunk, document.n_chunks);
    if (static_cast<int64_t>(chunks.size()) != document.n_chunks) disagree(document.path + " lacks chunks");
    const std::string text = session.text(document, 0, document.text_bytes);
    if (sha256_hex(text) != document.text_hash) disagree("the text of " + document.path + " has changed");
    int64_t id = document.first_chunk;
    for (const Chunk& chunk : chunks) {
      const std::string name = "chunk " + std::to_string(id) + " of " + document.path;
      if (chunk.begin > chunk.end || chunk.end > text.size()) disagree(name + " lies outside its text");
      const auto found = sums.find(id++);
      if (found == sums.end()) disagree(name + " is in no segment");
      if (same_analysis &&
          found->second != analysed(analyzer, chunk, text.substr(chunk.begin, chunk.end - chunk.begin)))
        disagree(name + " has other postings than its text");
      ++n_chunks;
    }
  }
  if (n_chunks != sums.size()) disagree("there are postings of chunks that are in no document");
}

}  // namespace lectern
