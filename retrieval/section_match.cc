#include "retrieval/section_match.h"

#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lectern {

std::string best_matching_section(const SearchHit& hit, const std::string& language, Analyzer& analyzer) {
  const Chunk& chunk = hit.passage.chunk;
  std::unordered_map<std::string_view, double> scores;
  for (const TermShare& term : hit.terms) scores.emplace(term.term, term.score);
  std::vector<Term> terms;
  analyzer.analyze_document(hit.passage.text, terms, language);

  const auto& sections = chunk.later_sections;
  std::vector<double> sums(sections.size() + 1, 0.0);  // [0]: what stands before the first of them
  std::set<std::pair<size_t, std::string_view>> counted;
  for (const Term& term : terms) {
    const auto found = scores.find(term.text);
    if (found == scores.end()) continue;
    size_t section = 0;
    while (section < sections.size() && sections[section].offset <= term.begin) ++section;
    if (counted.emplace(section, found->first).second) sums[section] += found->second;
  }
  size_t best = 0;
  for (size_t i = 1; i < sums.size(); ++i)
    if (sums[i] > sums[best]) best = i;
  return best == 0 ? chunk.heading_path : sections[best - 1].heading_path;
}

}  // namespace lectern
