#include "engine/grammar_vocabulary.h"

#include <algorithm>
#include <string>

#include "engine/grammar_string.h"

namespace lectern {
namespace {

// How far a token has come inside a string.
struct Inside {
  StringState state = StringState::kBetween;
  int n_characters = 0;
};

}  // namespace

GrammarVocabulary::GrammarVocabulary(std::vector<std::pair<std::string_view, int32_t>> vocabulary,
                                     int32_t n_ids)
    : tokens_(std::move(vocabulary)) {
  for (auto& mask : inside_) mask.resize((static_cast<size_t>(n_ids) + 63) / 64);
  std::vector<std::pair<std::string, int32_t>> closing;
  std::array<Inside, TokenTrie::kMaxTokenBytes + 1> path;  // by depth
  std::string bytes;                                       // of the node at hand
  for (size_t i = 0; i < tokens_.nodes().size();) {
    const TokenTrie::Node& node = tokens_.nodes()[i];
    Inside& here = path[node.depth];
    here = path[node.depth - 1];
    bytes.resize(node.depth);
    bytes.back() = static_cast<char>(node.byte);
    if (here.state != StringState::kClosed) {
      here.n_characters += here.state == StringState::kBetween;
      here.state = next_in_string(here.state, node.byte);
    }
    if (here.state == StringState::kRejected) {
      i = node.subtree_end;
      continue;
    }
    ++i;
    if (node.token < 0) continue;
    if (here.state == StringState::kClosed) {
      closing.emplace_back(bytes, node.token);
    } else {
      const auto id = static_cast<size_t>(node.token);
      inside_[static_cast<size_t>(here.n_characters)][id / 64] |= uint64_t{1} << (id % 64);
    }
  }
  closing_tokens_ = TokenTrie({closing.begin(), closing.end()});
  for (size_t n = 1; n < inside_.size(); ++n) {
    std::transform(inside_[n].begin(), inside_[n].end(), inside_[n - 1].begin(), inside_[n].begin(),
                   [](uint64_t a, uint64_t b) { return a | b; });
  }
}

std::span<const uint64_t> GrammarVocabulary::inside_tokens(int n_characters) const {
  return inside_[static_cast<size_t>(std::clamp(n_characters, 0, TokenTrie::kMaxTokenBytes))];
}

}  // namespace lectern
