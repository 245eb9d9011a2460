#include "apps/common/byte_ranges.h"

#include <algorithm>
#include <set>

#include "retrieval/analyzer.h"

namespace lectern {

ByteRanges highlights(const std::string& query, const std::string& text,
                      const std::vector<std::string>& languages) {
  thread_local Analyzer analyzer;
  std::vector<Term> terms;
  analyzer.analyze_query(query, terms, languages);
  std::set<std::string> wanted;
  for (const Term& term : terms) wanted.insert(term.text);
  terms.clear();
  analyzer.analyze_document(text, terms);
  ByteRanges ranges;
  for (const Term& term : terms)
    if (term.begin < term.end && wanted.contains(term.text)) ranges.emplace_back(term.begin, term.end);
  std::sort(ranges.begin(), ranges.end());
  ByteRanges merged;
  for (const auto& [begin, end] : ranges) {
    if (!merged.empty() && begin <= merged.back().second) {
      merged.back().second = std::max(merged.back().second, end);
    } else {
      merged.emplace_back(begin, end);
    }
  }
  return merged;
}

ByteRange whole_characters(const std::string& text, uint64_t begin, uint64_t end) {
  const auto inside = [&](uint64_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  end = std::min<uint64_t>(end, text.size());
  begin = std::min(begin, end);
  while (begin > 0 && inside(begin)) --begin;
  while (inside(end)) ++end;
  return {begin, end};
}

}  // namespace lectern
