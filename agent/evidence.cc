#include "agent/evidence.h"

#include <algorithm>
#include <map>

#include "agent/orders.h"

namespace lectern {
namespace {

// Chunks leave out only the blanks between them.
std::string_view joint(const SourcePassage& before, const SourcePassage& after) {
  if (after.begin <= before.end) return "";
  return after.begin - before.end == 1 ? " " : "\n";
}

std::string label(const EvidencePassage& passage, size_t number) {
  const SourcePassage& first = passage.chunks.front();
  std::string line = "[" + std::to_string(number) + "]";
  const std::string name(unless_orders(first.title.empty() ? first.path : first.title));
  if (passage.label == EvidencePassage::Label::kNumber) return line + ' ';
  if (!name.empty()) line += " " + name;
  // A heading path mostly begins with the title.
  std::string_view heading = passage.label == EvidencePassage::Label::kPlace
                                 ? unless_orders(first.heading_path)
                                 : std::string_view();
  if (heading.starts_with(name + " > ")) heading.remove_prefix(name.size() + 3);
  if (!heading.empty() && heading != name) line.append(" > ").append(heading);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

bool looks_like_label(std::string_view line) {
  size_t i = 1;
  while (i < line.size() && line[i] >= '0' && line[i] <= '9') ++i;
  return line.size() > 2 && line[0] == '[' && i > 1 && i < line.size() && line[i] == ']';
}

void append_lines(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    const std::string_view line = text.substr(i, end - i);
    if (looks_like_label(line)) out += ' ';
    out += line;
    out += '\n';
    i = end + 1;
  }
}

}  // namespace

std::vector<EvidencePassage> merge_neighbours(std::vector<SourcePassage> chunks) {
  std::map<int64_t, size_t> rank_of_document;
  for (const SourcePassage& chunk : chunks) {
    rank_of_document.emplace(chunk.document_id, rank_of_document.size());
  }
  std::stable_sort(chunks.begin(), chunks.end(), [&](const SourcePassage& a, const SourcePassage& b) {
    const size_t rank_a = rank_of_document[a.document_id], rank_b = rank_of_document[b.document_id];
    return rank_a != rank_b ? rank_a < rank_b : a.ordinal < b.ordinal;
  });
  std::vector<EvidencePassage> passages;
  for (SourcePassage& chunk : chunks) {
    if (!passages.empty()) {
      EvidencePassage& last = passages.back();
      const SourcePassage& before = last.chunks.back();
      if (before.document_id == chunk.document_id && before.ordinal == chunk.ordinal) continue;
      if (before.document_id == chunk.document_id && before.ordinal + 1 == chunk.ordinal) {
        last.text += joint(before, chunk);
        last.text += chunk.text;
        last.chunks.push_back(std::move(chunk));
        continue;
      }
    }
    passages.emplace_back().text = chunk.text;
    passages.back().chunks.push_back(std::move(chunk));
  }
  return passages;
}

std::string render_passages(std::span<const EvidencePassage> passages) {
  std::string out;
  for (size_t i = 0; i < passages.size(); ++i) {
    if (i > 0) out += '\n';
    out += label(passages[i], i + 1);
    if (passages[i].label != EvidencePassage::Label::kNumber) out += '\n';
    append_lines(passages[i].text, out);
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace lectern
