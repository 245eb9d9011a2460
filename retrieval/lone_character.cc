#include "retrieval/lone_character.h"

#include <algorithm>
#include <map>

#include "base/utf8.h"

namespace lectern {

bool is_lone_character(std::string_view term) {
  constexpr char32_t kFirst = 0x2E80;  // radicals, Kana, Han and Hangul follow
  if (term.empty()) return false;
  const utf8::Decoded first = utf8::decode(term, 0);
  return first.length == term.size() && first.code_point >= kFirst;
}

std::vector<std::string> pairs_with(const IndexSnapshot& index, std::string_view character, size_t limit,
                                    BlobReader& blobs) {
  std::map<std::string, uint64_t> counts;
  for (const SegmentView& view : index.segments) {
    for (Segment::TermIterator i(*view.segment, blobs, 0); i.valid(); i.next()) {
      const std::string_view term = i.term();
      std::string_view other = term;
      if (term.starts_with(character)) {
        other.remove_prefix(character.size());
      } else if (term.ends_with(character)) {
        other.remove_suffix(character.size());
      } else {
        continue;
      }
      if (is_lone_character(other)) counts[std::string(term)] += i.entry().n_postings;
    }
  }
  std::vector<std::pair<uint64_t, std::string>> commonest;
  for (auto& [term, count] : counts) commonest.emplace_back(count, term);
  std::sort(commonest.begin(), commonest.end(), std::greater<>());
  commonest.resize(std::min(commonest.size(), limit));
  std::vector<std::string> out;
  for (auto& [count, term] : commonest) out.push_back(std::move(term));
  return out;
}

}  // namespace lectern
