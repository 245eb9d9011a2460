// Names of documents and where a text mentions them: titles, aliases and file names in one table of hashed
// token sequences, longest match first. Names are compared by their folded characters (analyzer_text.h), word
// by word, in scripts without spaces character by character: no stemming, since a name is written as it is.
// Filled by one thread, then read by many.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/analyzer_text.h"

namespace lectern {

// A name with its place in a text.
struct Mention {
  size_t begin = 0, end = 0;           // bytes of the text
  std::span<const int64_t> documents;  // ascending ids; valid as long as the dictionary
  bool is_word = false;                // one word, or two characters of a script without spaces
  bool is_link = false;                // the target of [[a wikilink]] or of [a link](target.md)
};

class MentionDictionary {
 public:
  // A name of more than kMaxNameTokens tokens, of none, or of a single Han character is none. Also without
  // what stands in brackets at its end: "Theodred II (Bishop of Elmham)".
  void add(std::string_view name, int64_t document, FoldedText& folded);
  // After the last add(). Names that more than kMaxNamesakes documents share tell nothing and go.
  void seal();

  // In order of place, disjoint; of several names from one place on the longest.
  std::vector<Mention> find(std::string_view text, FoldedText& folded) const;

  size_t size() const { return documents_.size(); }  // pairs of a name and a document
  size_t bytes() const;                              // of memory

  static constexpr size_t kMaxNameTokens = 63;
  static constexpr size_t kMaxNamesakes = 64;

 private:
  struct Beginning {  // of names: their first token
    uint64_t token = 0;
    uint64_t lengths = 0;  // bit n: a name of n tokens begins so
  };

  void add_exact(std::string_view name, int64_t document, FoldedText& folded);
  std::span<const int64_t> documents_of(uint64_t name) const;

  std::vector<Beginning> beginnings_;  // by token
  // By name, then document.
  std::vector<std::pair<uint64_t, int64_t>> names_;  // until seal()
  std::vector<uint64_t> name_hashes_;                // beside documents_
  std::vector<int64_t> documents_;
};

}  // namespace lectern
