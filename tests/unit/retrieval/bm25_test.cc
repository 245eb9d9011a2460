#include "retrieval/bm25.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "tests/support/catch.h"
#include "tests/unit/retrieval/memory_index.h"

using namespace lectern;

namespace {

// A corpus that is added to, deleted from and merged, with the plain truth beside it.
class Corpus {
 public:
  explicit Corpus(uint32_t seed) : random_(seed) {}

  std::mt19937& random() { return random_; }

  void add_segment(size_t n_chunks) {
    SegmentBuilder builder;
    for (size_t i = 0; i < n_chunks; ++i) {
      std::vector<std::string> words;
      for (size_t k = 1 + random_() % 60; k-- > 0;) words.push_back(word());
      const std::vector<Term> terms = as_terms(words);
      const FieldTerms field{terms, 1};
      builder.add_chunk(next_id_, {&field, 1}, "en");
      chunks_[next_id_] = words;
      next_id_ += random_() % 20 == 0 ? 7 : 1;
    }
    const int64_t id = next_segment_++;
    auto header = builder.write(blobs_.writer(id));
    segments_.emplace_back(std::make_shared<Segment>(id, header, blobs_),
                           std::make_shared<LiveBits>(header.n_chunks));
  }

  void remove_some(double share) {
    std::uniform_real_distribution<double> coin(0, 1);
    for (auto& [segment, live] : segments_) {
      auto bits = std::make_shared<LiveBits>(*live);
      for (uint32_t i = 0; i < segment->n_chunks(); ++i)
        if (coin(random_) < share) {
          bits->clear(i);
          chunks_.erase(segment->chunk_id(i));
        }
      live = bits;
    }
  }

  void merge(size_t first, size_t count) {
    std::vector<MergeInput> inputs;
    for (size_t i = first; i < first + count; ++i)
      inputs.push_back({segments_[i].first.get(), segments_[i].second.get()});
    const int64_t id = next_segment_++;
    auto header = merge_segments(inputs, blobs_, blobs_.writer(id));
    auto merged = std::make_shared<Segment>(id, header, blobs_);
    segments_.erase(segments_.begin() + static_cast<long>(first),
                    segments_.begin() + static_cast<long>(first + count));
    segments_.insert(segments_.begin() + static_cast<long>(first),
                     {merged, std::make_shared<LiveBits>(header.n_chunks)});
  }

  IndexSnapshot snapshot(const Bm25& bm25 = {}) const {
    return make_snapshot({segments_.begin(), segments_.end()}, bm25);
  }
  MemoryBlobs& blobs() { return blobs_; }
  const std::map<int64_t, std::vector<std::string>>& chunks() const { return chunks_; }

  // Few words are common, most are rare.
  std::string word() {
    const double x = std::generate_canonical<double, 32>(random_);
    return "w" + std::to_string(static_cast<int>(std::pow(3000.0, x)));
  }

 private:
  std::mt19937 random_;
  MemoryBlobs blobs_;
  std::map<int64_t, std::vector<std::string>> chunks_;
  std::vector<std::pair<std::shared_ptr<const Segment>, std::shared_ptr<const LiveBits>>> segments_;
  int64_t next_id_ = 10, next_segment_ = 1;
};

// The truth as plain tables.
struct Oracle {
  std::map<std::string, std::vector<std::pair<int64_t, uint32_t>>> frequencies;  // term -> chunk, frequency
  std::map<int64_t, uint64_t> lengths;
  uint64_t total_length = 0;

  explicit Oracle(const Corpus& corpus) {
    for (const auto& [id, words] : corpus.chunks()) {
      std::map<std::string, uint32_t> counts;
      for (const std::string& word : words) ++counts[word];
      for (const auto& [word, count] : counts) frequencies[word].emplace_back(id, count);
      lengths[id] = words.size();
      total_length += words.size();
    }
  }

  // Scores every chunk by the definition, in double precision; with the engine's own rounding if `rounded`.
  std::vector<ScoredChunk> search(const std::vector<QueryTerm>& query, size_t k, const Bm25& bm25,
                                  bool rounded) const {
    const auto n = static_cast<double>(lengths.size());
    const auto containing = [&](const std::string& term) {
      const auto found = frequencies.find(term);
      return found == frequencies.end() ? 0.0 : static_cast<double>(found->second.size());
    };
    std::map<uint32_t, double> commonest;
    for (const QueryTerm& term : query)
      commonest[term.word] = std::max(commonest[term.word], containing(term.text));
    double sum = 0;
    std::vector<double> weights;
    for (const QueryTerm& term : query) {
      const double df = commonest[term.word];
      weights.push_back(containing(term.text) == 0 ? 0
                                                   : term.weight * std::log(1 + (n - df + .5) / (df + .5)));
      sum += weights.back();
    }
    const double units = static_cast<double>(1 << 30) / sum;
    const auto least = static_cast<float>(bm25.k1 * (1 - bm25.b));
    const auto slope = static_cast<float>(bm25.k1 * bm25.b * n / static_cast<double>(total_length));
    std::map<int64_t, std::pair<double, int64_t>> scores;
    for (size_t i = 0; i < query.size(); ++i) {
      const auto found = frequencies.find(query[i].text);
      if (found == frequencies.end()) continue;
      for (const auto& [id, frequency] : found->second) {
        const auto length = static_cast<double>(lengths.at(id));
        auto& [exact, whole] = scores[id];
        const double average = static_cast<double>(total_length) / n;
        exact += weights[i] * frequency / (frequency + bm25.k1 * (1 - bm25.b + bm25.b * length / average));
        whole += bm25_part(static_cast<float>(weights[i] * units), least + slope * static_cast<float>(length),
                           frequency);
      }
    }
    std::vector<ScoredChunk> all;
    for (const auto& [id, score] : scores)
      all.push_back({id, rounded ? static_cast<double>(score.second) / units : score.first});
    std::sort(all.begin(), all.end(), [](const ScoredChunk& a, const ScoredChunk& b) {
      return a.score != b.score ? a.score > b.score : a.id < b.id;
    });
    all.resize(std::min(k, all.size()));
    return all;
  }
};

std::vector<QueryTerm> random_query(Corpus& corpus, size_t n_terms) {
  std::vector<QueryTerm> query;
  for (uint32_t i = 0; i < n_terms; ++i) {
    QueryTerm term{corpus.word(), i, 1.0 + static_cast<double>(corpus.random()() % 3)};
    if (corpus.random()() % 4 == 0 && i > 0) term.word = i - 1;  // an alternative
    const auto same = [&](const QueryTerm& other) { return other.text == term.text; };
    if (std::none_of(query.begin(), query.end(), same)) query.push_back(term);
  }
  return query;
}

void check_against_brute_force(Corpus& corpus, int n_queries, const Bm25& bm25 = {}) {
  const IndexSnapshot index = corpus.snapshot(bm25);
  REQUIRE(index.n_chunks == corpus.chunks().size());
  const Oracle oracle(corpus);
  for (int round = 0; round < n_queries; ++round) {
    const size_t sizes[] = {1, 2, 3, 12, 40};
    const auto query = random_query(corpus, sizes[round % 5]);
    for (const size_t k : {1, 10, 100}) {
      const auto found = search_bm25(index, query, k, corpus.blobs());
      const auto expected = oracle.search(query, k, bm25, true);
      const auto exact = oracle.search(query, k, bm25, false);
      REQUIRE(found.size() == expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        REQUIRE(found[i].id == expected[i].id);
        REQUIRE(found[i].score == expected[i].score);
        REQUIRE(found[i].score == Approx(exact[i].score).epsilon(1e-5));
      }
    }
  }
}

}  // namespace

TEST_CASE("top-k equals brute force over segments, deletes and merges") {
  for (const uint32_t seed : {1u, 2u}) {
    Corpus corpus(seed);
    corpus.add_segment(3000);
    check_against_brute_force(corpus, 10);
    corpus.add_segment(200);
    corpus.add_segment(1);
    corpus.add_segment(9000);  // several windows
    check_against_brute_force(corpus, 10);
    corpus.remove_some(0.3);
    check_against_brute_force(corpus, 10);
    corpus.merge(0, 3);
    corpus.add_segment(500);
    check_against_brute_force(corpus, 10);
    corpus.remove_some(0.9);
    corpus.merge(0, 3);
    check_against_brute_force(corpus, 10, Bm25{0.9, 0.4});
  }
}

TEST_CASE("searching inside ranges finds what a filter after the search finds") {
  Corpus corpus(9);
  corpus.add_segment(2000);
  corpus.add_segment(3000);
  corpus.remove_some(0.1);
  const IndexSnapshot index = corpus.snapshot();
  const ChunkRanges within = {{0, 40}, {1000, 1500}, {2500, 2501}, {4000, 1'000'000}};
  for (int round = 0; round < 20; ++round) {
    const auto query = random_query(corpus, 5);
    std::vector<ScoredChunk> expected;
    for (const ScoredChunk& chunk : search_bm25(index, query, 100'000, corpus.blobs()))
      for (const auto& [first, last] : within)
        if (chunk.id >= first && chunk.id < last && expected.size() < 10) expected.push_back(chunk);
    const auto found = search_bm25(index, query, 10, corpus.blobs(), &within);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].id == expected[i].id);
  }
}

TEST_CASE("the parts of a score add up to it") {
  Corpus corpus(4);
  corpus.add_segment(1000);
  corpus.add_segment(1000);
  corpus.remove_some(0.2);
  const IndexSnapshot index = corpus.snapshot();
  const auto query = random_query(corpus, 12);
  for (const ScoredChunk& chunk : search_bm25(index, query, 10, corpus.blobs())) {
    double sum = 0;
    for (const double part : explain_bm25(index, query, chunk.id, corpus.blobs())) sum += part;
    CHECK(sum == Approx(chunk.score).epsilon(1e-9));
  }
}

TEST_CASE("nothing to find is no error") {
  Corpus corpus(6);
  const IndexSnapshot empty = corpus.snapshot();
  CHECK(search_bm25(empty, std::vector<QueryTerm>{{"w1", 0, 1}}, 10, corpus.blobs()).empty());
  corpus.add_segment(10);
  const IndexSnapshot index = corpus.snapshot();
  CHECK(search_bm25(index, {}, 10, corpus.blobs()).empty());
  CHECK(search_bm25(index, std::vector<QueryTerm>{{"absent", 0, 1}}, 10, corpus.blobs()).empty());
  CHECK(search_bm25(index, std::vector<QueryTerm>{{"w1", 0, 1}}, 0, corpus.blobs()).empty());
  CHECK(search_bm25(index, std::vector<QueryTerm>{{"w1", 0, 0.0}}, 5, corpus.blobs()).empty());
}

TEST_CASE("the part of a term is monotone in frequency and length") {
  std::mt19937 random(1);
  for (int round = 0; round < 200'000; ++round) {
    const auto weight = static_cast<float>(random() % (1u << 30));
    const auto norm = std::generate_canonical<float, 24>(random) * 3;
    const uint32_t frequency = 1 + static_cast<uint32_t>(random()) % 50;
    REQUIRE(bm25_part(weight, norm, frequency) <= bm25_part(weight, norm, frequency + 1));
    REQUIRE(bm25_part(weight, std::nextafter(norm, 4.0f), frequency) <= bm25_part(weight, norm, frequency));
  }
}
