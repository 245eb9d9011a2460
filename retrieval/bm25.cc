#include "retrieval/bm25.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace lectern {
namespace {

constexpr uint32_t kWindow = 4096;
constexpr double kScoreUnits = 1 << 30;  // what the parts of a perfect chunk add up to at most

// A query term with its collection-wide weight.
struct WeightedTerm {
  const QueryTerm* term;
  float weight;  // scaled; every part is below it
};

struct WeightedQuery {
  std::vector<WeightedTerm> terms;  // those that occur
  double units = 1;                 // score units in 1.0
};

uint32_t count_dead(const SegmentView& view, const std::string& term, const TermEntry& entry,
                    BlobReader& blobs) {
  if (view.dead.empty()) return 0;
  const std::lock_guard lock(view.dead_counts->mutex);
  const auto [found, is_new] = view.dead_counts->by_term.try_emplace(term, 0);
  if (!is_new) return found->second;
  TermPostings postings;
  view.segment->read_postings(entry, blobs, postings);
  const auto& blocks = postings.list.blocks();
  uint32_t chunks[kBlockPostings], frequencies[kBlockPostings];
  auto dead = view.dead.begin();
  uint32_t count = 0;
  for (size_t block = 0; block < blocks.size() && dead != view.dead.end(); ++block) {
    if (blocks[block].last_chunk < *dead) continue;
    postings.list.decode(block, chunks, frequencies);
    for (uint32_t i = 0; i < blocks[block].count; ++i) {
      while (dead != view.dead.end() && *dead < chunks[i]) ++dead;
      if (dead == view.dead.end()) break;
      count += *dead == chunks[i];
    }
  }
  return found->second = count;
}

WeightedQuery weigh(const IndexSnapshot& index, std::span<const QueryTerm> terms, BlobReader& blobs) {
  std::vector<uint64_t> counts(terms.size());
  std::unordered_map<uint32_t, uint64_t> commonest;
  for (size_t i = 0; i < terms.size(); ++i) {
    counts[i] = count_chunks(index, terms[i].text, blobs);
    uint64_t& count = commonest[terms[i].word];
    count = std::max(count, counts[i]);
  }
  std::vector<double> weights(terms.size(), 0);
  double sum = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (counts[i] == 0) continue;
    weights[i] = terms[i].weight * bm25_idf(index.n_chunks, commonest[terms[i].word]);
    sum += weights[i];
  }
  WeightedQuery query;
  if (!(sum > 0)) return query;
  query.units = kScoreUnits / sum;
  for (size_t i = 0; i < terms.size(); ++i)
    if (weights[i] > 0) query.terms.push_back({&terms[i], static_cast<float>(weights[i] * query.units)});
  return query;
}

// One term's way through a segment, in ascending chunks.
class TermCursor {
 public:
  TermCursor(const IndexSnapshot& index, const SegmentView& view, const TermEntry& entry, float weight,
             BlobReader& blobs)
      : view_(&view), weight_(weight) {
    view.segment->read_postings(entry, blobs, postings_);
    best_.reserve(blocks().size());
    for (const BlockInfo& block : blocks()) {
      int32_t best = 0;
      for (uint32_t i = 0; i < block.impacts.count; ++i) {
        const Impact& impact = block.impacts.items[i];
        best = std::max(best, bm25_part(weight, index.norm(impact.length), impact.frequency));
      }
      best_.push_back(best);
    }
  }

  // Moves to the first block that reaches `begin`; returns the most a chunk of [begin, end) can get, 0 for
  // nothing.
  int32_t enter(uint32_t begin, uint32_t end) {
    while (block_ < blocks().size() && blocks()[block_].last_chunk < begin) ++block_;
    int32_t bound = 0;
    for (size_t i = block_; i < blocks().size() && first_possible(i) < end; ++i)
      bound = std::max(bound, best_[i]);
    return bound;
  }

  // No chunk before this one is left; UINT32_MAX at the end.
  uint32_t next_possible() const { return block_ < blocks().size() ? first_possible(block_) : UINT32_MAX; }

  // Adds the parts of all chunks of [begin, end) to sums[chunk - begin].
  void accumulate(uint32_t begin, uint32_t end, int32_t* sums) {
    for (size_t i = block_; i < blocks().size() && first_possible(i) < end; ++i) {
      decode(i);
      const uint32_t count = blocks()[i].count;
      for (uint32_t k = 0; k < count; ++k)
        if (chunks_[k] >= begin && chunks_[k] < end) sums[chunks_[k] - begin] += part(k);
    }
  }

  // The part of one chunk; ask in ascending order.
  int32_t part_of(uint32_t chunk) {
    while (block_ < blocks().size() && blocks()[block_].last_chunk < chunk) ++block_;
    if (block_ == blocks().size()) return 0;
    decode(block_);
    const uint32_t* end = chunks_.data() + blocks()[block_].count;
    const uint32_t* found = std::lower_bound<const uint32_t*>(chunks_.data(), end, chunk);
    return found != end && *found == chunk ? part(static_cast<uint32_t>(found - chunks_.data())) : 0;
  }

 private:
  const std::vector<BlockInfo>& blocks() const { return postings_.list.blocks(); }
  uint32_t first_possible(size_t block) const { return block == 0 ? 0 : blocks()[block - 1].last_chunk + 1; }
  int32_t part(uint32_t k) const { return bm25_part(weight_, view_->norms[chunks_[k]], frequencies_[k]); }
  void decode(size_t block) {
    if (decoded_ == block) return;
    postings_.list.decode(block, chunks_.data(), frequencies_.data());
    decoded_ = block;
  }

  const SegmentView* view_;
  float weight_;
  TermPostings postings_;
  std::vector<int32_t> best_;  // by block
  size_t block_ = 0;
  size_t decoded_ = SIZE_MAX;
  std::array<uint32_t, kBlockPostings> chunks_, frequencies_;
};

// The k best so far. Chunks come in ascending order, so of equal ones the first stay.
class TopChunks {
 public:
  explicit TopChunks(size_t k) : k_(k) {}

  // What a chunk must exceed to enter.
  int32_t threshold() const { return heap_.size() < k_ ? 0 : heap_.front().units; }
  void offer(int32_t units, int64_t id) {
    if (units <= threshold()) return;
    if (heap_.size() == k_) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.pop_back();
    }
    heap_.push_back({units, id});
    std::push_heap(heap_.begin(), heap_.end(), better);
  }
  std::vector<ScoredChunk> take(double units_in_one) {
    std::sort(heap_.begin(), heap_.end(), better);
    std::vector<ScoredChunk> result;
    for (const Entry& entry : heap_) result.push_back({entry.id, entry.units / units_in_one});
    return result;
  }

 private:
  struct Entry {
    int32_t units;
    int64_t id;
  };
  static bool better(const Entry& a, const Entry& b) {
    return a.units != b.units ? a.units > b.units : a.id < b.id;
  }

  size_t k_;
  std::vector<Entry> heap_;
};

class SegmentSearch {
 public:
  SegmentSearch(const IndexSnapshot& index, const SegmentView& view, const WeightedQuery& query,
                BlobReader& blobs)
      : view_(view) {
    for (const WeightedTerm& weighted : query.terms)
      if (const auto entry = view.segment->find(weighted.term->text, blobs))
        cursors_.push_back(std::make_unique<TermCursor>(index, view, *entry, weighted.weight, blobs));
  }

  void run(const LiveBits& accepted, TopChunks& top) {
    const uint32_t n_chunks = view_.segment->n_chunks();
    for (uint32_t begin = next_window(0); begin < n_chunks; begin = next_window(begin + kWindow))
      run_window(begin, std::min(begin + kWindow, n_chunks), accepted, top);
  }

 private:
  struct Bounded {
    TermCursor* cursor;
    int32_t bound;
  };

  // The first window from `begin` on that may hold a posting.
  uint32_t next_window(uint32_t begin) {
    uint32_t next = UINT32_MAX;
    for (const auto& cursor : cursors_) {
      cursor->enter(begin, begin);
      next = std::min(next, std::max(begin, cursor->next_possible()));
    }
    return next == UINT32_MAX ? next : next / kWindow * kWindow;
  }

  void run_window(uint32_t begin, uint32_t end, const LiveBits& accepted, TopChunks& top) {
    bounded_.clear();
    for (const auto& cursor : cursors_)
      if (const int32_t bound = cursor->enter(begin, end); bound > 0)
        bounded_.push_back({cursor.get(), bound});
    std::sort(bounded_.begin(), bounded_.end(),
              [](const Bounded& a, const Bounded& b) { return a.bound < b.bound; });
    // The weakest terms that together cannot lift a chunk above the threshold need not name candidates.
    size_t n_optional = 0;
    int32_t optional_bound = 0;
    while (n_optional < bounded_.size() && optional_bound + bounded_[n_optional].bound <= top.threshold())
      optional_bound += bounded_[n_optional++].bound;
    if (n_optional == bounded_.size()) return;

    sums_.fill(0);
    for (size_t i = n_optional; i < bounded_.size(); ++i)
      bounded_[i].cursor->accumulate(begin, end, sums_.data());
    candidates_.clear();
    for (uint32_t i = 0; i < end - begin; ++i)
      if (sums_[i] > 0 && sums_[i] + optional_bound > top.threshold() && accepted.test(begin + i))
        candidates_.push_back(begin + i);
    for (size_t i = n_optional; i-- > 0;) {
      size_t kept = 0;
      for (const uint32_t chunk : candidates_) {
        int32_t& sum = sums_[chunk - begin];
        if (sum + optional_bound <= top.threshold()) continue;
        sum += bounded_[i].cursor->part_of(chunk);
        candidates_[kept++] = chunk;
      }
      candidates_.resize(kept);
      optional_bound -= bounded_[i].bound;
    }
    for (const uint32_t chunk : candidates_) top.offer(sums_[chunk - begin], view_.segment->chunk_id(chunk));
  }

  const SegmentView& view_;
  std::vector<std::unique_ptr<TermCursor>> cursors_;
  std::vector<Bounded> bounded_;
  std::vector<uint32_t> candidates_;
  std::array<int32_t, kWindow> sums_;
};

LiveBits accepted_chunks(const SegmentView& view, const ChunkRanges& within) {
  LiveBits accepted = *view.live;
  uint32_t next = 0;
  for (const auto& [first, last] : within) {
    for (const uint32_t end = view.segment->lower_bound(first); next < end; ++next) accepted.clear(next);
    next = std::max(next, view.segment->lower_bound(last));
  }
  for (; next < view.segment->n_chunks(); ++next) accepted.clear(next);
  return accepted;
}

}  // namespace

double bm25_idf(uint64_t n_chunks, uint64_t n_containing) {
  const auto n = static_cast<double>(n_chunks), df = static_cast<double>(n_containing);
  return std::log(1 + (n - df + 0.5) / (df + 0.5));
}

IndexSnapshot make_snapshot(
    std::vector<std::pair<std::shared_ptr<const Segment>, std::shared_ptr<const LiveBits>>> segments,
    const Bm25& bm25) {
  IndexSnapshot index;
  for (auto& [segment, live] : segments) {
    SegmentView view;
    for (uint32_t chunk = 0; chunk < segment->n_chunks(); ++chunk) {
      if (live->test(chunk)) {
        ++view.n_live;
        view.live_length += segment->lengths()[chunk];
      } else {
        view.dead.push_back(chunk);
      }
    }
    for (const std::string& language : segment->header().languages)
      if (std::find(index.languages.begin(), index.languages.end(), language) == index.languages.end())
        index.languages.push_back(language);
    view.segment = std::move(segment);
    view.live = std::move(live);
    index.n_chunks += view.n_live;
    index.total_length += view.live_length;
    index.segments.push_back(std::move(view));
  }
  index.least_norm = static_cast<float>(bm25.k1 * (1 - bm25.b));
  index.norm_slope = static_cast<float>(bm25.k1 * bm25.b * static_cast<double>(index.n_chunks) /
                                        static_cast<double>(std::max<uint64_t>(1, index.total_length)));
  for (SegmentView& view : index.segments) {
    view.norms.reserve(view.segment->n_chunks());
    for (const uint16_t length : view.segment->lengths()) view.norms.push_back(index.norm(length));
  }
  std::sort(index.segments.begin(), index.segments.end(), [](const SegmentView& a, const SegmentView& b) {
    return a.segment->header().first_chunk_id < b.segment->header().first_chunk_id;
  });
  return index;
}

uint64_t count_chunks(const IndexSnapshot& index, const std::string& term, BlobReader& blobs) {
  uint64_t count = 0;
  for (const SegmentView& view : index.segments)
    if (const auto entry = view.segment->find(term, blobs))
      count += entry->n_postings - count_dead(view, term, *entry, blobs);
  return count;
}

std::vector<ScoredChunk> search_bm25(const IndexSnapshot& index, std::span<const QueryTerm> terms, size_t k,
                                     BlobReader& blobs, const ChunkRanges* within) {
  if (k == 0) return {};
  const WeightedQuery query = weigh(index, terms, blobs);
  TopChunks top(k);
  for (const SegmentView& view : index.segments) {
    if (view.n_live == 0) continue;
    SegmentSearch search(index, view, query, blobs);
    if (within == nullptr)
      search.run(*view.live, top);
    else
      search.run(accepted_chunks(view, *within), top);
  }
  return top.take(query.units);
}

double perfect_score(const IndexSnapshot& index, std::span<const QueryTerm> terms, BlobReader& blobs) {
  struct Word {
    uint64_t n_chunks = 0;  // that hold its commonest form
    double weight = 0;
  };
  std::unordered_map<uint32_t, Word> words;
  for (const QueryTerm& term : terms) {
    Word& word = words[term.word];
    word.n_chunks = std::max(word.n_chunks, count_chunks(index, term.text, blobs));
    word.weight = std::max(word.weight, term.weight);
  }
  return std::accumulate(words.begin(), words.end(), 0.0, [&](double sum, const auto& entry) {
    return sum + entry.second.weight * bm25_idf(index.n_chunks, entry.second.n_chunks);
  });
}

std::vector<double> explain_bm25(const IndexSnapshot& index, std::span<const QueryTerm> terms,
                                 int64_t chunk_id, BlobReader& blobs) {
  std::vector<double> parts(terms.size(), 0);
  const WeightedQuery query = weigh(index, terms, blobs);
  for (const SegmentView& view : index.segments) {
    const uint32_t chunk = view.segment->lower_bound(chunk_id);
    if (chunk >= view.segment->n_chunks() || view.segment->chunk_id(chunk) != chunk_id) continue;
    for (const WeightedTerm& weighted : query.terms) {
      const auto entry = view.segment->find(weighted.term->text, blobs);
      if (!entry) continue;
      TermCursor cursor(index, view, *entry, weighted.weight, blobs);
      parts[static_cast<size_t>(weighted.term - terms.data())] = cursor.part_of(chunk) / query.units;
    }
  }
  return parts;
}

}  // namespace lectern
