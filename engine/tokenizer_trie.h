// The vocabulary as a tree of bytes, laid out in preorder: a scan that skips subtrees visits exactly the
// tokens a grammar lets through. Immutable, safe from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace lectern {

class TokenTrie {
 public:
  // Longer tokens (runs of white space and the like) are left out: what they spell can be spelled with
  // shorter ones, and a bound on the length lets a grammar's states be shared (GrammarAutomaton::shared).
  static constexpr int kMaxTokenBytes = 32;

  struct Node {
    uint32_t subtree_end;  // index of the first node after the subtree
    int32_t token;         // id, -1 when no token ends here
    uint8_t depth;         // 1 for a first byte
    uint8_t byte;
  };

  // `vocabulary`: the bytes and id of every token that is text. Of tokens with equal bytes the lowest id is
  // kept.
  TokenTrie() = default;
  explicit TokenTrie(std::vector<std::pair<std::string_view, int32_t>> vocabulary);

  std::span<const Node> nodes() const { return nodes_; }
  // The most ", " that one token holds.
  int max_separators() const { return max_separators_; }

 private:
  std::vector<Node> nodes_;
  int max_separators_ = 0;
};

}  // namespace lectern
