#include "retrieval/segment.h"

#include <map>
#include <random>
#include <set>

#include "base/error.h"
#include "tests/support/catch.h"
#include "tests/unit/retrieval/memory_index.h"

using namespace lectern;

namespace {

using Index = std::map<std::string, std::map<int64_t, uint32_t>>;  // term -> chunk id -> frequency

// Chunks of random words; ids with gaps.
struct RandomChunks {
  std::vector<std::pair<int64_t, std::vector<std::string>>> chunks;
  Index index;

  RandomChunks(size_t n, int64_t first_id, std::mt19937& random) {
    int64_t id = first_id;
    for (size_t i = 0; i < n; ++i) {
      std::vector<std::string> words;
      for (size_t k = random() % 40; k-- > 0;) {
        const uint32_t rank = static_cast<uint32_t>(random()) % (1 + static_cast<uint32_t>(random()) % 5000);
        words.push_back("w" + std::to_string(rank));
        ++index[words.back()][id];
      }
      chunks.emplace_back(id, std::move(words));
      id += random() % 10 == 0 ? 5 : 1;
    }
  }
};

SegmentHeader build(MemoryBlobs& blobs, int64_t id, const RandomChunks& source) {
  SegmentBuilder builder;
  for (const auto& [chunk, words] : source.chunks) {
    const std::vector<Term> terms = as_terms(words);
    const FieldTerms field{terms, 1};
    builder.add_chunk(chunk, {&field, 1}, "en");
  }
  return builder.write(blobs.writer(id));
}

Index read_all(const Segment& segment, BlobReader& blobs) {
  Index index;
  TermPostings coded;
  std::vector<Posting> postings;
  for (Segment::TermIterator i(segment, blobs, 0); i.valid(); i.next()) {
    segment.read_postings(i.entry(), blobs, coded);
    coded.list.decode_all(postings);
    for (const Posting& posting : postings)
      index[std::string(i.term())][segment.chunk_id(posting.chunk)] = posting.frequency;
  }
  return index;
}

}  // namespace

TEST_CASE("a segment gives back what it was built from") {
  std::mt19937 random(3);
  MemoryBlobs blobs;
  const RandomChunks source(6000, 100, random);
  const SegmentHeader header = SegmentHeader::decode(build(blobs, 1, source).encode());
  CHECK(header.n_chunks == 6000);
  CHECK(header.n_terms == source.index.size());
  CHECK(header.languages == std::vector<std::string>{"en"});
  const Segment segment(1, header, blobs);
  CHECK(read_all(segment, blobs) == source.index);
  CHECK(header.area_bytes[static_cast<size_t>(SegmentArea::kPostings)] > kBlobBytes);  // straddles were met

  for (uint32_t i = 0; i < segment.n_chunks(); ++i) {
    REQUIRE(segment.chunk_id(i) == source.chunks[i].first);
    REQUIRE(segment.lower_bound(source.chunks[i].first) == i);
    REQUIRE(segment.lengths()[i] == source.chunks[i].second.size());
  }
  CHECK(segment.lower_bound(0) == 0);
  CHECK(segment.lower_bound(INT64_MAX) == 6000);

  for (const auto& [term, chunks] : source.index) {
    const auto entry = segment.find(term, blobs);
    REQUIRE(entry);
    REQUIRE(entry->n_postings == chunks.size());
  }
  for (const char* absent : {"", "a", "w", "w00", "zzz", "w5001"}) CHECK_FALSE(segment.find(absent, blobs));
}

TEST_CASE("fields add their weights, and long chunks count as the longest") {
  MemoryBlobs blobs;
  SegmentBuilder builder;
  const std::vector<Term> body = as_terms({"a", "b", "a"}), title = as_terms({"b"});
  const FieldTerms fields[] = {{body, 1}, {title, 3}};
  builder.add_chunk(1, fields, "en");
  const std::vector<Term> many(70'000, Term{"c", 0, 0});
  const FieldTerms one{many, 1};
  builder.add_chunk(2, {&one, 1}, "zh");
  const Segment segment(1, builder.write(blobs.writer(1)), blobs);
  CHECK(builder.empty());
  const Index expected = {{"a", {{1, 2}}}, {"b", {{1, 4}}}, {"c", {{2, 70'000}}}};
  CHECK(read_all(segment, blobs) == expected);
  CHECK(segment.lengths()[0] == 6);
  CHECK(segment.lengths()[1] == kMaxChunkLength);
  CHECK(segment.header().languages == std::vector<std::string>{"en", "zh"});
}

TEST_CASE("merging keeps the live chunks and nothing else") {
  std::mt19937 random(5);
  MemoryBlobs blobs;
  std::vector<std::unique_ptr<Segment>> segments;
  std::vector<LiveBits> live;
  Index expected;
  int64_t next_id = 1;
  for (int64_t id = 1; id <= 4; ++id) {
    const RandomChunks source(500 * static_cast<size_t>(id), next_id, random);
    next_id = source.chunks.back().first + 3;
    segments.push_back(std::make_unique<Segment>(id, build(blobs, id, source), blobs));
    live.emplace_back(segments.back()->n_chunks());
    std::set<int64_t> dead;
    for (uint32_t i = 0; i < segments.back()->n_chunks(); ++i)
      if (random() % 3 == 0) {
        live.back().clear(i);
        dead.insert(source.chunks[i].first);
      }
    CHECK(live.back().count() == segments.back()->n_chunks() - dead.size());
    for (const auto& [term, chunks] : source.index)
      for (const auto& [chunk, frequency] : chunks)
        if (!dead.contains(chunk)) expected[term][chunk] = frequency;
  }
  std::vector<MergeInput> inputs;
  for (size_t i = 0; i < segments.size(); ++i) inputs.push_back({segments[i].get(), &live[i]});
  const Segment merged(9, merge_segments(inputs, blobs, blobs.writer(9)), blobs);
  CHECK(read_all(merged, blobs) == expected);
}

TEST_CASE("bitmaps of live chunks are checked") {
  LiveBits bits(70);
  bits.clear(69);
  CHECK(LiveBits(70, bits.encode()).count() == 69);
  CHECK_THROWS_AS(LiveBits(70, "short"), Error);
  CHECK_THROWS_AS(LiveBits(70, std::string(16, '\xff')), Error);  // bits beyond the end
  CHECK_THROWS_AS(LiveBits(200, bits.encode()), Error);
}

TEST_CASE("damaged segments are refused, never followed") {
  std::mt19937 random(23);
  MemoryBlobs intact;
  const RandomChunks source(800, 1, random);
  const SegmentHeader header = build(intact, 1, source);
  const std::string encoded = header.encode();
  for (size_t size = 0; size < encoded.size(); ++size)
    CHECK_THROWS_AS(SegmentHeader::decode(encoded.substr(0, size)), Error);
  for (int round = 0; round < 400; ++round) {
    MemoryBlobs damaged = intact;
    SegmentHeader damaged_header = header;
    for (auto& [key, blob] : damaged.blobs()) {
      if (random() % 4 == 0) continue;
      for (int i = 0; i < 4; ++i)
        blob[random() % std::min<size_t>(blob.size(), 400)] = static_cast<char>(random());
    }
    if (round % 5 == 0)
      damaged.blobs().erase(
          std::next(damaged.blobs().begin(), static_cast<long>(random() % damaged.blobs().size())));
    if (round % 7 == 0) damaged_header.area_bytes[random() % kSegmentAreas] += random() % 100'000;
    try {
      const Segment segment(1, damaged_header, damaged);
      read_all(segment, damaged);
      segment.find("w17", damaged);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kCorrupt);
    }
  }
}
