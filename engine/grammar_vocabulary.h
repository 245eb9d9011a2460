// A vocabulary prepared for grammars. Nearly all tokens are ordinary text, and inside a JSON string nearly
// all of them may follow: those are sorted out once, by their number of characters, so that a mask inside a
// string needs a walk over the few tokens only that close it. Immutable, safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer_trie.h"

namespace lectern {

class GrammarVocabulary {
 public:
  // `vocabulary`: the bytes and id of every token that is text; ids are below `n_ids`.
  GrammarVocabulary(std::vector<std::pair<std::string_view, int32_t>> vocabulary, int32_t n_ids);

  // Every token of at most TokenTrie::kMaxTokenBytes bytes.
  const TokenTrie& tokens() const { return tokens_; }
  // Those that, begun between two characters of a string, close it: the quote and what may hang on it.
  const TokenTrie& closing_tokens() const { return closing_tokens_; }
  // Bit mask of those that stay inside the string and begin at most so many characters; they may end within
  // one. (n_ids + 63) / 64 words.
  std::span<const uint64_t> inside_tokens(int n_characters) const;

 private:
  TokenTrie tokens_;
  TokenTrie closing_tokens_;
  std::array<std::vector<uint64_t>, TokenTrie::kMaxTokenBytes + 1> inside_;  // by number of characters
};

}  // namespace lectern
