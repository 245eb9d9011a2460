#include "retrieval/segment_builder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"

namespace lectern {

LiveBits::LiveBits(uint32_t n_chunks) : words_((size_t{n_chunks} + 63) / 64, ~uint64_t{0}) {
  if (n_chunks % 64 != 0) words_.back() = (uint64_t{1} << (n_chunks % 64)) - 1;
}

LiveBits::LiveBits(uint32_t n_chunks, std::string_view bytes) : LiveBits(n_chunks) {
  const uint64_t last = words_.empty() ? 0 : words_.back();
  if (bytes.size() == words_.size() * sizeof(uint64_t)) {
    std::memcpy(words_.data(), bytes.data(), bytes.size());
    if (words_.empty() || (words_.back() & ~last) == 0) return;
  }
  throw Error(ErrorCode::kCorrupt,
              "search index: a list of live chunks does not fit its segment; delete the collection and index "
              "its documents again");
}

void LiveBits::intersect(const LiveBits& other) {
  for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
}

uint32_t LiveBits::count() const {
  return std::accumulate(words_.begin(), words_.end(), 0u, [](uint32_t sum, uint64_t word) {
    return sum + static_cast<uint32_t>(std::popcount(word));
  });
}

std::string LiveBits::encode() const {
  return {reinterpret_cast<const char*>(words_.data()), words_.size() * sizeof(uint64_t)};
}

void SegmentBuilder::add_chunk(int64_t id, std::span<const FieldTerms> fields, std::string_view language) {
  const auto chunk = static_cast<uint32_t>(chunks_.size());
  uint64_t length = 0;
  for (const FieldTerms& field : fields) {
    length += field.terms.size() * field.weight;
    for (const Term& term : field.terms) {
      const uint32_t number = term_id(term.text);
      TermState& state = terms_[number];
      if (state.n_postings > 0 && postings_[state.last_posting].posting.chunk == chunk) {
        postings_[state.last_posting].posting.frequency += field.weight;
        continue;
      }
      state.last_posting = postings_.size();
      ++state.n_postings;
      postings_.push_back({number, {chunk, field.weight}});
    }
  }
  chunks_.push_back({id, static_cast<uint16_t>(std::min<uint64_t>(length, kMaxChunkLength))});
  if (std::find(languages_.begin(), languages_.end(), language) == languages_.end())
    languages_.emplace_back(language);
}

uint32_t SegmentBuilder::term_id(std::string_view text) {
  if ((terms_.size() + 1) * 2 > slots_.size()) grow_slots();
  size_t slot = fnv1a(text) & (slots_.size() - 1);
  for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1))
    if (text_of(terms_[slots_[slot] - 1]) == text) return slots_[slot] - 1;
  TermState state;
  state.text_begin = texts_.size();
  state.text_size = static_cast<uint32_t>(text.size());
  texts_ += text;
  terms_.push_back(state);
  slots_[slot] = static_cast<uint32_t>(terms_.size());
  return slots_[slot] - 1;
}

void SegmentBuilder::grow_slots() {
  slots_.assign(std::max<size_t>(1024, slots_.size() * 2), 0);
  for (size_t i = 0; i < terms_.size(); ++i) {
    size_t slot = fnv1a(text_of(terms_[i])) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

SegmentHeader SegmentBuilder::write(const BlobWriter& writer) {
  // Postings by term, still in order of chunk: a counting sort over the terms in order of their bytes.
  std::vector<uint32_t> order(terms_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return text_of(terms_[a]) < text_of(terms_[b]); });
  std::vector<size_t> next(terms_.size());
  size_t begin = 0;
  for (const uint32_t term : order) {
    next[term] = begin;
    begin += terms_[term].n_postings;
  }
  std::vector<Posting> sorted(postings_.size());
  for (const TermPosting& posting : postings_) sorted[next[posting.term]++] = posting.posting;

  SegmentWriter segment(chunks_, languages_, writer);
  begin = 0;
  for (const uint32_t term : order) {
    segment.add_term(text_of(terms_[term]), std::span(sorted).subspan(begin, terms_[term].n_postings));
    begin += terms_[term].n_postings;
  }
  *this = SegmentBuilder();
  return segment.finish();
}

SegmentHeader merge_segments(std::span<const MergeInput> inputs, BlobReader& blobs,
                             const BlobWriter& writer) {
  // New numbers of the live chunks.
  constexpr uint32_t kDead = UINT32_MAX;
  std::vector<SegmentChunk> chunks;
  std::vector<std::vector<uint32_t>> renumbered(inputs.size());
  std::vector<std::string> languages;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Segment& segment = *inputs[i].segment;
    renumbered[i].assign(segment.n_chunks(), kDead);
    for (uint32_t chunk = 0; chunk < segment.n_chunks(); ++chunk) {
      if (!inputs[i].live->test(chunk)) continue;
      renumbered[i][chunk] = static_cast<uint32_t>(chunks.size());
      chunks.push_back({segment.chunk_id(chunk), segment.lengths()[chunk]});
    }
    for (const std::string& language : segment.header().languages)
      if (std::find(languages.begin(), languages.end(), language) == languages.end())
        languages.push_back(language);
  }

  SegmentWriter merged(chunks, languages, writer);
  std::vector<std::unique_ptr<Segment::TermIterator>> iterators;
  for (const MergeInput& input : inputs)
    iterators.push_back(std::make_unique<Segment::TermIterator>(*input.segment, blobs, 0));
  std::vector<Posting> postings, part;
  TermPostings coded;
  std::string term, last_term;
  for (;;) {
    // Few inputs: the smallest term by a plain scan.
    const Segment::TermIterator* smallest = nullptr;
    for (const auto& iterator : iterators)
      if (iterator->valid() && (smallest == nullptr || iterator->term() < smallest->term()))
        smallest = iterator.get();
    if (smallest == nullptr) break;
    term = smallest->term();
    if (term.empty() || term <= last_term)
      throw Error(ErrorCode::kCorrupt,
                  "the terms of a segment are out of order; delete the collection and index its "
                  "documents again");
    last_term = term;
    postings.clear();
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!iterators[i]->valid() || iterators[i]->term() != term) continue;
      inputs[i].segment->read_postings(iterators[i]->entry(), blobs, coded);
      coded.list.decode_all(part);
      for (const Posting& posting : part)
        if (const uint32_t chunk = renumbered[i][posting.chunk]; chunk != kDead)
          postings.push_back({chunk, posting.frequency});
      iterators[i]->next();
    }
    if (!postings.empty()) merged.add_term(term, postings);
  }
  return merged.finish();
}

}  // namespace lectern
