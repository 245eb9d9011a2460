#include "engine/tokenizer_trie.h"

#include <algorithm>

namespace lectern {
namespace {

int count_separators(std::string_view token) {
  int n = 0;
  for (size_t at = token.find(", "); at != std::string_view::npos; at = token.find(", ", at + 2)) ++n;
  return n;
}

}  // namespace

TokenTrie::TokenTrie(std::vector<std::pair<std::string_view, int32_t>> vocabulary) {
  std::erase_if(vocabulary,
                [](const auto& token) { return token.first.empty() || token.first.size() > kMaxTokenBytes; });
  std::sort(vocabulary.begin(), vocabulary.end());
  std::string_view previous;
  std::vector<uint32_t> path;  // nodes from the root to the previous token
  const auto close_below = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back())
      nodes_[path.back()].subtree_end = static_cast<uint32_t>(nodes_.size());
  };
  for (const auto& [bytes, id] : vocabulary) {
    if (bytes == previous) continue;
    const auto shared = std::mismatch(bytes.begin(), bytes.end(), previous.begin(), previous.end()).first;
    close_below(static_cast<size_t>(shared - bytes.begin()));
    while (path.size() < bytes.size()) {
      const auto byte = static_cast<uint8_t>(bytes[path.size()]);
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({0, -1, static_cast<uint8_t>(path.size()), byte});
    }
    nodes_.back().token = id;
    max_separators_ = std::max(max_separators_, count_separators(bytes));
    previous = bytes;
  }
  close_below(0);
}

}  // namespace lectern
