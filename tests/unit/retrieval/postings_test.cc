#include "retrieval/postings.h"

#include <random>

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

struct Corpus {
  std::vector<uint16_t> lengths;
  std::vector<Posting> postings;
};

Corpus random_postings(uint32_t n_chunks, double density, std::mt19937& random) {
  Corpus corpus;
  std::uniform_real_distribution<double> coin(0, 1);
  for (uint32_t chunk = 0; chunk < n_chunks; ++chunk) {
    corpus.lengths.push_back(static_cast<uint16_t>(1 + random() % 300));
    if (coin(random) < density)
      corpus.postings.push_back({chunk, 1 + static_cast<uint32_t>(random() % 3 == 0 ? random() % 9 : 0)});
  }
  if (corpus.postings.empty()) corpus.postings.push_back({n_chunks - 1, 1});
  return corpus;
}

std::vector<Posting> decoded(const std::string& bytes, const Corpus& corpus) {
  const PostingList list(bytes, static_cast<uint32_t>(corpus.postings.size()), corpus.lengths);
  std::vector<Posting> result;
  list.decode_all(result);
  return result;
}

}  // namespace

TEST_CASE("packed blocks come back for every bit width") {
  std::mt19937 random(7);
  for (uint32_t bits = 0; bits <= 32; ++bits) {
    uint32_t values[kBlockPostings], back[kBlockPostings];
    for (uint32_t& value : values) value = bits == 0 ? 0 : static_cast<uint32_t>(random()) >> (32 - bits);
    if (bits > 0) values[77] = ~0u >> (32 - bits);
    CHECK(bits_needed(values) == bits);
    std::string packed;
    pack_block(values, bits, packed);
    REQUIRE(packed.size() == packed_bytes(bits));
    unpack_block(reinterpret_cast<const uint8_t*>(packed.data()), bits, back);
    CHECK(std::equal(std::begin(values), std::end(values), std::begin(back)));
  }
}

TEST_CASE("posting lists of all sizes come back") {
  std::mt19937 random(11);
  for (const uint32_t n_chunks : {1u, 2u, 127u, 128u, 129u, 1000u, 40000u}) {
    for (const double density : {0.0, 0.01, 0.3, 1.0}) {
      const Corpus corpus = random_postings(n_chunks, density, random);
      std::string bytes;
      encode_postings(corpus.postings, corpus.lengths, bytes);
      const auto back = decoded(bytes, corpus);
      REQUIRE(back.size() == corpus.postings.size());
      CHECK(std::equal(back.begin(), back.end(), corpus.postings.begin()));
    }
  }
}

TEST_CASE("huge gaps and frequencies come back") {
  Corpus corpus;
  corpus.lengths.assign(5'000'000, 1);
  for (uint32_t i = 0; i < 200; ++i)
    corpus.postings.push_back({i * 25'000, i == 5 ? UINT32_MAX : 1 + i * 1000});
  std::string bytes;
  encode_postings(corpus.postings, corpus.lengths, bytes);
  const auto back = decoded(bytes, corpus);
  CHECK(std::equal(back.begin(), back.end(), corpus.postings.begin()));
}

TEST_CASE("the impacts of a block bound all its postings and are few") {
  std::mt19937 random(13);
  for (int round = 0; round < 200; ++round) {
    const Corpus corpus = random_postings(300, 0.9, random);
    std::string bytes;
    encode_postings(corpus.postings, corpus.lengths, bytes);
    const PostingList list(bytes, static_cast<uint32_t>(corpus.postings.size()), corpus.lengths);
    size_t at = 0;
    for (const BlockInfo& block : list.blocks()) {
      CHECK(block.impacts.count <= kMaxImpacts);
      for (uint32_t i = 0; i < block.count; ++i, ++at) {
        const Posting& posting = corpus.postings[at];
        bool bounded = false;
        for (uint32_t k = 0; k < block.impacts.count; ++k)
          bounded = bounded || (block.impacts.items[k].frequency >= posting.frequency &&
                                block.impacts.items[k].length <= corpus.lengths[posting.chunk]);
        REQUIRE(bounded);
      }
    }
  }
  std::vector<Impact> one = {{2, 10}, {2, 9}, {1, 9}, {1, 30}};
  const ImpactSet best = best_impacts(one);
  CHECK(best.count == 1);
  CHECK(best.items[0] == Impact{2, 9});
}

TEST_CASE("damaged posting lists are refused or decoded within bounds") {
  std::mt19937 random(17);
  const Corpus corpus = random_postings(3000, 0.2, random);
  std::string bytes;
  encode_postings(corpus.postings, corpus.lengths, bytes);
  const auto try_decode = [&](const std::string& damaged) {
    try {
      for (const Posting& posting : decoded(damaged, corpus)) REQUIRE(posting.chunk < corpus.lengths.size());
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kCorrupt);
    }
  };
  for (size_t size = 0; size < bytes.size(); ++size) try_decode(bytes.substr(0, size));
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    try_decode(damaged);
  }
  CHECK_THROWS_AS(PostingList("", 1, corpus.lengths), Error);
  CHECK_THROWS_AS(PostingList(bytes, 0, corpus.lengths), Error);
  CHECK_THROWS_AS(PostingList(bytes, 3001, corpus.lengths), Error);
}
