#include "retrieval/mention_search.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

namespace lectern {
namespace {

constexpr size_t kMaxSources = 8;         // passages whose mentions are followed
constexpr size_t kMaxBrought = 64;        // documents that one text brings
constexpr size_t kChunksOfBrought = 256;  // ranked to find the best chunk of each
constexpr size_t kUnnamedSources = 3;     // passages followed when the request names no document
constexpr size_t kUnnamedFirst = 5;  // then they stay the first: nothing but its words says what is meant
constexpr size_t kNamedRun = 2;      // brought passages for each that its words alone found

class Follower {
 public:
  explicit Follower(const MentionSearch& search) : search_(search) {}

  std::vector<NamedChunk> run(std::span<const std::string> queries, std::span<const ScoredChunk> ranked,
                              size_t limit);

 private:
  // Best chunks of the documents that a text mentions and no earlier one did.
  std::vector<NamedChunk> brought_by(std::string_view text);
  bool in_scope(const StoredDocument& document) const;
  // What is read for further names: the passage, and the beginning of its document, which says what it is.
  std::string text_around(int64_t chunk_id);
  static std::vector<NamedChunk> in_turns(const std::vector<std::vector<NamedChunk>>& lists);

  const MentionSearch& search_;
  std::unordered_set<int64_t> seen_;  // documents
};

bool Follower::in_scope(const StoredDocument& document) const {
  if (document.n_chunks == 0) return false;
  return search_.scope == nullptr ||
         std::any_of(search_.scope->begin(), search_.scope->end(), [&](const auto& range) {
           return range.first <= document.first_chunk && document.first_chunk < range.second;
         });
}

std::vector<NamedChunk> Follower::brought_by(std::string_view text) {
  struct Brought {
    int64_t first = 0, last = 0;  // chunks of the document
    std::string name;
  };
  std::vector<Brought> brought;
  for (const Mention& mention : search_.names.find(text, search_.folded)) {
    std::string name(text.substr(mention.begin, mention.end - mention.begin));
    if (mention.is_word && !mention.is_link && !search_.is_rare(name)) continue;
    for (const int64_t id : mention.documents) {
      if (brought.size() >= kMaxBrought || !seen_.insert(id).second) continue;
      const StoredDocument document = search_.session.document(id);
      if (in_scope(document))
        brought.push_back({document.first_chunk, document.first_chunk + document.n_chunks, name});
    }
  }
  std::sort(brought.begin(), brought.end(),
            [](const Brought& a, const Brought& b) { return a.first < b.first; });
  ChunkRanges ranges;
  for (const Brought& document : brought) ranges.emplace_back(document.first, document.last);
  std::vector<NamedChunk> result;
  std::vector<bool> has_chunk(brought.size());
  if (!ranges.empty()) {
    for (const ScoredChunk& chunk : search_.rank(ranges, kChunksOfBrought)) {
      const auto after = std::upper_bound(brought.begin(), brought.end(), chunk.id,
                                          [](int64_t id, const Brought& b) { return id < b.first; });
      const auto i = static_cast<size_t>(after - brought.begin()) - 1;
      if (has_chunk[i]) continue;
      has_chunk[i] = true;
      result.push_back({chunk, brought[i].name});
    }
  }
  for (size_t i = 0; i < brought.size(); ++i)
    if (!has_chunk[i]) result.push_back({{brought[i].first, 0}, brought[i].name});
  return result;
}

std::string Follower::text_around(int64_t chunk_id) {
  const StoredDocument document = search_.session.document_of_chunk(chunk_id);
  seen_.insert(document.id);
  std::string text;
  for (const int64_t id : {document.first_chunk, chunk_id}) {
    if (id == chunk_id && !text.empty() && chunk_id == document.first_chunk) break;
    for (const Chunk& chunk : search_.session.chunks(id, 1))
      text += search_.session.text(document, chunk.begin, chunk.end) + "\n";
  }
  return text;
}

std::vector<NamedChunk> Follower::in_turns(const std::vector<std::vector<NamedChunk>>& lists) {
  std::vector<NamedChunk> result;
  bool more = true;
  for (size_t i = 0; more; ++i) {
    more = false;
    for (const auto& list : lists) {
      if (i >= list.size()) continue;
      result.push_back(list[i]);
      more = true;
    }
  }
  return result;
}

std::vector<NamedChunk> Follower::run(std::span<const std::string> queries,
                                      std::span<const ScoredChunk> ranked, size_t limit) {
  std::vector<NamedChunk> named;  // by the request itself
  for (const std::string& query : queries)
    for (NamedChunk& chunk : brought_by(query)) named.push_back(std::move(chunk));

  std::vector<int64_t> sources;
  for (const NamedChunk& chunk : named) sources.push_back(chunk.chunk.id);
  if (named.empty())
    for (const ScoredChunk& chunk : ranked.first(std::min(ranked.size(), kUnnamedSources)))
      sources.push_back(chunk.id);
  sources.resize(std::min(sources.size(), kMaxSources));
  std::vector<std::string> texts;
  for (const int64_t source : sources) texts.push_back(text_around(source));
  std::vector<std::vector<NamedChunk>> hops;
  for (const std::string& text : texts) hops.push_back(brought_by(text));

  // The best by its words, what the request names, then what those passages name between the other ranked.
  std::vector<NamedChunk> result;
  std::unordered_set<int64_t> taken;
  const auto take = [&](const NamedChunk& chunk) {
    if (result.size() >= limit || !taken.insert(chunk.chunk.id).second) return false;
    result.push_back(chunk);
    return true;
  };
  const std::vector<NamedChunk> further = in_turns(hops);
  std::unordered_map<int64_t, const NamedChunk*> name_of;
  for (const NamedChunk& chunk : named) name_of[chunk.chunk.id] = &chunk;
  for (const NamedChunk& chunk : further) name_of.emplace(chunk.chunk.id, &chunk);
  const auto take_ranked = [&](const ScoredChunk& chunk) {
    const auto found = name_of.find(chunk.id);
    return take({chunk, found == name_of.end() ? "" : found->second->name});
  };
  const size_t n_first = named.empty() ? kUnnamedFirst : 1;
  for (const ScoredChunk& chunk : ranked.first(std::min(ranked.size(), n_first))) take_ranked(chunk);
  for (const NamedChunk& chunk : named) take(chunk);
  auto next_further = further.begin();
  auto next_ranked = ranked.begin();
  while (result.size() < limit && (next_further != further.end() || next_ranked != ranked.end())) {
    for (bool done = false; !done && next_ranked != ranked.end(); ++next_ranked)
      done = take_ranked(*next_ranked);
    for (size_t n = 0; n < kNamedRun && next_further != further.end(); ++next_further)
      n += take(*next_further);
  }
  return result;
}

}  // namespace

MentionDictionary read_mention_dictionary(StoreSession& session) {
  MentionDictionary names;
  FoldedText folded;
  session.for_each_name([&](const DocumentNames& document) {
    names.add(document.title, document.id, folded);
    names.add(std::filesystem::path(document.path).stem().string(), document.id, folded);
    for (const std::string& alias : document.aliases) names.add(alias, document.id, folded);
  });
  names.seal();
  return names;
}

std::vector<NamedChunk> follow_mentions(const MentionSearch& search, std::span<const std::string> queries,
                                        std::span<const ScoredChunk> ranked, size_t limit) {
  return Follower(search).run(queries, ranked, limit);
}

}  // namespace lectern
