#include "agent/reading_list.h"

#include <algorithm>
#include <tuple>

#include "agent/salience.h"

namespace lectern {
namespace {

// The beginning of a section under a heading of its own says what follows.
constexpr double kNewHeading = 0.3;

// 0, 1/2, 1/4, 3/4, ...: van der Corput's sequence, whose every beginning is spread over [0, 1).
double spread(size_t i) {
  double value = 0, step = 0.5;
  for (; i > 0; i >>= 1, step /= 2) {
    if ((i & 1) != 0) value += step;
  }
  return value;
}

// All of 0 .. n-1, every beginning of the list spread evenly.
std::vector<size_t> spread_order(size_t n) {
  std::vector<size_t> order;
  std::vector<bool> taken(n);
  for (size_t i = 0; order.size() < n; ++i) {
    const auto at = static_cast<size_t>(spread(i) * static_cast<double>(n));
    if (!taken[at]) order.push_back(at);
    taken[at] = true;
  }
  return order;
}

}  // namespace

ReadingList::ReadingList(DocumentSource& documents, const std::vector<int64_t>& ids, int64_t n_chunks,
                         const Limits& limits, const std::unordered_map<int64_t, double>& relevance,
                         const CancelToken& cancel)
    : documents_(&documents),
      limit_(limits.chunks > 0 ? std::min(limits.chunks, n_chunks) : n_chunks),
      in_order_(limits.in_order) {
  const int64_t n_sections = std::clamp<int64_t>(limits.sections, 1, std::max<int64_t>(n_chunks, 1));
  std::vector<SourcePassage> section;
  int64_t n_seen = 0;
  for_each_chunk(documents, ids, cancel, [&](SourcePassage chunk) {
    if (in_order_) chunk.text.clear();  // nothing is ranked: the places are enough
    section.push_back(std::move(chunk));
    ++n_seen;
    const auto filled = static_cast<int64_t>(sections_.size()) + 1;
    if (n_seen >= filled * n_chunks / n_sections && filled < n_sections) add_section(section, relevance);
    return true;
  });
  if (!section.empty()) add_section(section, relevance);
  turns_ = spread_order(sections_.size());
  if (in_order_) std::sort(turns_.begin(), turns_.end());
}

void ReadingList::add_section(std::vector<SourcePassage>& chunks,
                              const std::unordered_map<int64_t, double>& relevance) {
  Section section;
  std::vector<size_t> order(chunks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (!in_order_) {
    std::vector<std::string_view> texts;
    std::vector<double> bonus;
    for (size_t i = 0; i < chunks.size(); ++i) {
      texts.push_back(chunks[i].text);
      const auto asked = relevance.find(chunks[i].chunk_id);
      const bool new_heading =
          !chunks[i].heading_path.empty() && (i == 0 || chunks[i - 1].heading_path != chunks[i].heading_path);
      bonus.push_back((asked == relevance.end() ? 0 : asked->second) + (new_heading ? kNewHeading : 0));
    }
    order = by_salience(texts, bonus);
  }
  for (const size_t i : order) section.chunks.push_back({chunks[i].document_id, chunks[i].ordinal});
  sections_.push_back(std::move(section));
  chunks.clear();
}

ReadingList::Section* ReadingList::next_section() {
  for (size_t tried = 0; tried < turns_.size(); ++tried) {
    Section& section = sections_[turns_[turn_ % turns_.size()]];
    if (section.next < section.chunks.size()) {
      if (!in_order_) ++turn_;
      return &section;
    }
    ++turn_;
  }
  return nullptr;
}

void ReadingList::sort_by_place(std::vector<SourcePassage>& chunks) {
  std::sort(chunks.begin(), chunks.end(), [](const SourcePassage& a, const SourcePassage& b) {
    return std::tie(a.path, a.document_id, a.ordinal, a.begin) <
           std::tie(b.path, b.document_id, b.ordinal, b.begin);
  });
}

}  // namespace lectern
