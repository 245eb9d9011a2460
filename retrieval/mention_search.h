// Follows the names of documents from a request to the passages it needs: a document that the request names,
// and those that the best passages name in turn. Multi-hop questions are found by this without a model; the
// ranking by words alone is kept between, so that a single-hop search loses nothing. Pure functions over one
// read session. Rules and measurements: docs/retrieval.md, "Names".
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "retrieval/bm25.h"
#include "retrieval/mentions.h"
#include "retrieval/store.h"

namespace lectern {

// Titles, aliases and file names of all documents of the session.
MentionDictionary read_mention_dictionary(StoreSession& session);

struct NamedChunk {
  ScoredChunk chunk;
  std::string name;  // as written where it is mentioned; "" for a chunk found by its words alone
};

// What following names needs of the search that it extends.
struct MentionSearch {
  const MentionDictionary& names;
  StoreSession& session;
  FoldedText& folded;
  const ChunkRanges* scope = nullptr;  // nothing outside is brought; null: everything
  // The best chunks inside ranges, by the request's words.
  std::function<std::vector<ScoredChunk>(const ChunkRanges& within, size_t limit)> rank;
  // Does a word occur in so few chunks that it can be a name?
  std::function<bool(const std::string& word)> is_rare;
};

// At most `limit` chunks, best first: `ranked` (best first) and what the names bring, woven into one list.
std::vector<NamedChunk> follow_mentions(const MentionSearch& search, std::span<const std::string> queries,
                                        std::span<const ScoredChunk> ranked, size_t limit);

}  // namespace lectern
