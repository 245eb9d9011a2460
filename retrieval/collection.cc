#include "retrieval/collection.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "retrieval/analyzer.h"
#include "retrieval/bm25.h"
#include "retrieval/collection_index.h"
#include "retrieval/collection_verify.h"
#include "retrieval/lone_character.h"
#include "retrieval/mention_search.h"
#include "retrieval/section_match.h"
#include "retrieval/store.h"
#include "retrieval/store_sqlite.h"

namespace lectern {
namespace {

constexpr const char* kCollectionsFolder = "collections";  // of the data folder
constexpr const char* kCollectionExtension = ".lectern";
constexpr size_t kFusionDepth = 100;    // chunks taken from each of several queries, at least
constexpr size_t kMaxQueryTerms = 128;  // a longer query keeps its rarest
// For a character that stands alone: pairs that hold it. Within a run of text it is in two of them.
constexpr size_t kMaxPairs = 64;
constexpr double kPairWeight = 0.5;
// A single word is taken for a name when no more chunks than this, or than this share, hold it.
constexpr uint64_t kRareChunks = 20;
constexpr uint64_t kRareShare = 200;
constexpr uint64_t kMaxResidentBytes = uint64_t{1} << 29;  // of segments kept in memory between searches

DocumentInfo to_info(StoredDocument&& stored) {
  DocumentInfo info;
  info.id = stored.id;
  info.path = std::move(stored.path);
  info.title = std::move(stored.title);
  info.format = std::move(stored.format);
  info.language = std::move(stored.language);
  info.hash = std::move(stored.text_hash);
  info.text_bytes = stored.text_bytes;
  info.n_chunks = static_cast<int>(stored.n_chunks);
  return info;
}

std::vector<Passage> read_passages(StoreSession& session, const StoredDocument& document, int first,
                                   int count) {
  std::vector<Passage> result;
  const auto begin = std::clamp<int64_t>(first, 0, document.n_chunks);
  const auto end = std::clamp<int64_t>(begin + std::max(0, count), begin, document.n_chunks);
  int64_t id = document.first_chunk + begin;
  for (Chunk& chunk : session.chunks(id, end - begin)) {
    Passage passage;
    passage.chunk_id = id;
    passage.document_id = document.id;
    passage.path = document.path;
    passage.title = document.title;
    chunk.ordinal = static_cast<int>(id - document.first_chunk);
    passage.text = session.text(document, chunk.begin, chunk.end);
    passage.chunk = std::move(chunk);
    result.push_back(std::move(passage));
    ++id;
  }
  return result;
}

class StoredCollection : public Collection {
 public:
  explicit StoredCollection(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  IndexReport index(std::span<const std::filesystem::path> roots, const IndexOptions& options,
                    const ProgressFn& progress, const CancelToken& cancel) override {
    return index_files(*store_, roots, options, progress, cancel);
  }

  int64_t add(const std::string& path, const Document& document) override {
    return add_to_store(*store_, path, document);
  }

  int remove(const std::string& path) override { return remove_from_store(*store_, path); }

  std::vector<SearchHit> search(const SearchRequest& request) const override;

  CollectionStats stats() const override {
    const auto session = store_->read();
    StoreCounts counts = session->counts();
    CollectionStats stats;
    stats.n_documents = counts.n_documents;
    stats.n_chunks = counts.n_chunks;
    stats.text_bytes = counts.text_bytes;
    stats.text_characters = counts.text_characters;
    for (const StoredSegment& segment : session->segments()) {
      const SegmentHeader header = SegmentHeader::decode(segment.header);
      stats.n_terms += static_cast<int64_t>(header.n_terms);
      stats.n_postings += static_cast<int64_t>(header.n_postings);
      stats.index_bytes += header.bytes();
    }
    stats.file_bytes = store_->file_bytes();
    stats.languages = std::move(counts.languages);
    return stats;
  }

  std::vector<DocumentInfo> documents() const override {
    std::vector<DocumentInfo> result;
    for (StoredDocument& stored : store_->read()->documents()) result.push_back(to_info(std::move(stored)));
    return result;
  }

  std::optional<DocumentInfo> find_document(const std::string& path) const override {
    auto stored = store_->read()->find_document(path);
    if (!stored) return std::nullopt;
    return to_info(std::move(*stored));
  }

  std::string text(int64_t document_id) const override {
    const auto session = store_->read();
    const StoredDocument document = session->document(document_id);
    return session->text(document, 0, document.text_bytes);
  }

  Passage passage(int64_t chunk_id) const override {
    const auto session = store_->read();
    return passage_of(*session, chunk_id);
  }

  std::vector<Passage> passages(int64_t document_id, int first, int count) const override {
    const auto session = store_->read();
    return read_passages(*session, session->document(document_id), first, count);
  }

  std::vector<std::optional<double>> kept_scores(std::span<const std::string> keys) const override {
    return store_->read()->scores(keys);
  }

  void keep_scores(std::span<const std::pair<std::string, double>> scores) const override {
    try {
      const auto session = store_->try_write();
      if (session == nullptr) return;
      session->begin();
      session->add_scores(scores);
      session->commit();
    } catch (const Error&) {
      // Read-only, full, or written by another process.
    }
  }

  std::vector<std::string> roots() const override { return store_->read()->roots(); }

  void verify() const override {
    const auto session = store_->read();
    verify_store(*session);
  }

 private:
  struct RankedQuery {
    std::vector<QueryTerm> terms;
    std::vector<ScoredChunk> best;
    double scale = 1;  // of its scores, where several queries are fused
  };

  static Passage passage_of(StoreSession& session, int64_t chunk_id) {
    const StoredDocument document = session.document_of_chunk(chunk_id);
    auto found = read_passages(session, document, static_cast<int>(chunk_id - document.first_chunk), 1);
    if (found.empty())
      throw Error(ErrorCode::kCorrupt,
                  document.path + ": lacks a chunk; delete the collection and index again");
    return std::move(found.front());
  }

  std::shared_ptr<const IndexSnapshot> snapshot(StoreSession& session) const;
  std::vector<QueryTerm> query_terms(const std::string& text, const IndexSnapshot& index,
                                     BlobReader& blobs) const;
  std::string best_section(const SearchHit& hit, const std::string& language) const {
    auto analyzer = take_analyzer();
    std::string heading_path = best_matching_section(hit, language, *analyzer);
    give_back(std::move(analyzer));
    return heading_path;
  }
  static std::vector<ScoredChunk> fuse(const std::vector<RankedQuery>& queries, size_t limit);
  // The best chunks by all queries together, inside `within` unless that is null.
  static std::vector<ScoredChunk> rank(const IndexSnapshot& index, std::vector<RankedQuery>& queries,
                                       size_t limit, BlobReader& blobs, const ChunkRanges* within);
  std::vector<NamedChunk> follow_names(StoreSession& session, const IndexSnapshot& index,
                                       const std::vector<SearchQuery>& asked,
                                       const std::vector<RankedQuery>& queries,
                                       const std::vector<ScoredChunk>& ranked, size_t limit,
                                       const ChunkRanges* scope) const;
  std::shared_ptr<const MentionDictionary> names(StoreSession& session) const;
  static std::vector<TermShare> shares(const IndexSnapshot& index, const std::vector<RankedQuery>& queries,
                                       int64_t chunk_id, bool by_name, BlobReader& blobs);

  std::unique_ptr<Analyzer> take_analyzer() const {
    const std::lock_guard lock(analyzer_mutex_);
    if (idle_analyzers_.empty()) return std::make_unique<Analyzer>();
    auto analyzer = std::move(idle_analyzers_.back());
    idle_analyzers_.pop_back();
    return analyzer;
  }
  void give_back(std::unique_ptr<Analyzer> analyzer) const {
    const std::lock_guard lock(analyzer_mutex_);
    idle_analyzers_.push_back(std::move(analyzer));
  }

  std::unique_ptr<Store> store_;
  mutable std::mutex analyzer_mutex_;
  mutable std::vector<std::unique_ptr<Analyzer>> idle_analyzers_;  // they load dictionaries: worth keeping
  mutable std::mutex snapshot_mutex_;
  mutable int64_t snapshot_generation_ = -1;
  mutable std::shared_ptr<const IndexSnapshot> snapshot_;
  mutable std::mutex names_mutex_;
  mutable int64_t names_generation_ = -1;
  mutable std::shared_ptr<const MentionDictionary> names_;
};

// The index as the session sees it; segments that were there before stay loaded.
std::shared_ptr<const IndexSnapshot> StoredCollection::snapshot(StoreSession& session) const {
  const int64_t generation = session.generation();
  const std::lock_guard lock(snapshot_mutex_);
  uint64_t resident = 0;
  if (snapshot_ != nullptr)
    for (const SegmentView& view : snapshot_->segments) resident += view.segment->resident_bytes();
  const bool too_large = resident > kMaxResidentBytes;
  if (snapshot_ != nullptr && generation == snapshot_generation_ && !too_large) return snapshot_;
  std::map<int64_t, std::shared_ptr<const Segment>> known;
  if (snapshot_ != nullptr && !too_large)
    for (const SegmentView& view : snapshot_->segments) known[view.segment->id()] = view.segment;
  std::vector<std::pair<std::shared_ptr<const Segment>, std::shared_ptr<const LiveBits>>> segments;
  for (const StoredSegment& stored : session.segments()) {
    std::shared_ptr<const Segment>& segment = known[stored.id];
    if (segment == nullptr)
      segment = std::make_shared<const Segment>(stored.id, SegmentHeader::decode(stored.header), session);
    segments.emplace_back(segment, std::make_shared<const LiveBits>(segment->n_chunks(), stored.live));
  }
  snapshot_ = std::make_shared<const IndexSnapshot>(make_snapshot(std::move(segments), Bm25{}));
  snapshot_generation_ = generation;
  return snapshot_;
}

std::vector<QueryTerm> StoredCollection::query_terms(const std::string& text, const IndexSnapshot& index,
                                                     BlobReader& blobs) const {
  auto analyzer = take_analyzer();
  std::vector<Term> analysed;
  analyzer->analyze_query(text, analysed, index.languages);
  give_back(std::move(analyzer));
  std::vector<QueryTerm> terms;
  std::map<std::string_view, size_t> seen;
  uint32_t word = 0;
  for (size_t i = 0; i < analysed.size(); ++i) {
    if (i > 0 && (analysed[i].begin != analysed[i - 1].begin || analysed[i].end != analysed[i - 1].end))
      ++word;
    if (!seen.try_emplace(analysed[i].text, i).second) continue;
    terms.push_back({analysed[i].text, word, 1.0});
    if (!is_lone_character(analysed[i].text)) continue;
    for (std::string& pair : pairs_with(index, analysed[i].text, kMaxPairs, blobs))
      terms.push_back({std::move(pair), word, kPairWeight});
  }
  if (terms.size() <= kMaxQueryTerms) return terms;
  std::vector<std::pair<uint64_t, size_t>> counts;
  for (size_t i = 0; i < terms.size(); ++i)
    if (const uint64_t count = count_chunks(index, terms[i].text, blobs); count > 0)
      counts.emplace_back(count, i);
  std::sort(counts.begin(), counts.end());
  counts.resize(std::min(counts.size(), kMaxQueryTerms));
  std::vector<QueryTerm> rarest;
  for (const auto& [count, i] : counts) rarest.push_back(terms[i]);
  return rarest;
}

std::vector<ScoredChunk> StoredCollection::fuse(const std::vector<RankedQuery>& queries, size_t limit) {
  std::map<int64_t, double> scores;
  for (const RankedQuery& query : queries)
    for (const ScoredChunk& chunk : query.best) scores[chunk.id] += query.scale * chunk.score;
  std::vector<ScoredChunk> fused;
  for (const auto& [id, score] : scores) fused.push_back({id, score});
  std::stable_sort(fused.begin(), fused.end(),
                   [](const ScoredChunk& a, const ScoredChunk& b) { return a.score > b.score; });
  fused.resize(std::min(fused.size(), limit));
  return fused;
}

// Every term's part of the hit's score: of its BM25 score, or of the fused one in the same proportions.
std::vector<TermShare> StoredCollection::shares(const IndexSnapshot& index,
                                                const std::vector<RankedQuery>& queries, int64_t chunk_id,
                                                bool by_name, BlobReader& blobs) {
  std::map<std::string, double> sums;
  for (const RankedQuery& query : queries) {
    const auto found = std::find_if(query.best.begin(), query.best.end(),
                                    [&](const ScoredChunk& chunk) { return chunk.id == chunk_id; });
    if (!by_name && found == query.best.end()) continue;
    const auto parts = explain_bm25(index, query.terms, chunk_id, blobs);
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i] > 0) sums[query.terms[i].text] += parts[i] * query.scale;
  }
  std::vector<TermShare> result;
  for (const auto& [term, score] : sums) result.push_back({term, score});
  std::stable_sort(result.begin(), result.end(),
                   [](const TermShare& a, const TermShare& b) { return a.score > b.score; });
  return result;
}

std::vector<ScoredChunk> StoredCollection::rank(const IndexSnapshot& index, std::vector<RankedQuery>& queries,
                                                size_t limit, BlobReader& blobs, const ChunkRanges* within) {
  const size_t depth = queries.size() > 1 ? std::max(limit, kFusionDepth) : limit;
  for (RankedQuery& query : queries) query.best = search_bm25(index, query.terms, depth, blobs, within);
  if (queries.size() != 1) return fuse(queries, limit);
  std::vector<ScoredChunk> best = queries[0].best;
  for (ScoredChunk& chunk : best) chunk.score *= queries[0].scale;
  return best;
}

// Of all documents as the session sees them; made at the first search that follows names.
std::shared_ptr<const MentionDictionary> StoredCollection::names(StoreSession& session) const {
  const int64_t generation = session.generation();
  const std::lock_guard lock(names_mutex_);
  if (names_ == nullptr || generation != names_generation_) {
    names_ = std::make_shared<const MentionDictionary>(read_mention_dictionary(session));
    names_generation_ = generation;
  }
  return names_;
}

std::vector<NamedChunk> StoredCollection::follow_names(StoreSession& session, const IndexSnapshot& index,
                                                       const std::vector<SearchQuery>& asked,
                                                       const std::vector<RankedQuery>& queries,
                                                       const std::vector<ScoredChunk>& ranked, size_t limit,
                                                       const ChunkRanges* scope) const {
  const auto dictionary = names(session);
  FoldedText folded;
  std::map<std::string, bool> known_rarity;
  const auto is_rare = [&](const std::string& word) {
    const auto [found, is_new] = known_rarity.try_emplace(word, false);
    if (is_new) {
      uint64_t count = 0;
      for (const QueryTerm& term : query_terms(word, index, session))
        count = std::max(count, count_chunks(index, term.text, session));
      found->second = count <= std::max(kRareChunks, index.n_chunks / kRareShare);
    }
    return found->second;
  };
  std::vector<RankedQuery> again = queries;
  const auto rank_within = [&](const ChunkRanges& within, size_t n) {
    return rank(index, again, n, session, &within);
  };
  std::vector<std::string> texts;
  for (const SearchQuery& query : asked) texts.push_back(query.text);
  return follow_mentions({*dictionary, session, folded, scope, rank_within, is_rare}, texts, ranked, limit);
}

std::vector<SearchHit> StoredCollection::search(const SearchRequest& request) const {
  if (request.limit <= 0) return {};
  const auto limit = static_cast<size_t>(request.limit);
  const auto session = store_->read();
  const auto index = snapshot(*session);
  ChunkRanges within;
  for (const int64_t id : request.documents) {
    const StoredDocument document = session->document(id);
    within.emplace_back(document.first_chunk, document.first_chunk + document.n_chunks);
  }
  std::sort(within.begin(), within.end());

  std::vector<SearchQuery> asked = request.queries;
  std::erase_if(asked, [](const SearchQuery& q) { return !(q.weight > 0) || !std::isfinite(q.weight); });
  std::vector<RankedQuery> queries;
  for (const SearchQuery& query : asked) {
    RankedQuery ranked;
    ranked.terms = query_terms(query.text, *index, *session);
    if (asked.size() > 1 || request.shares) {
      const double perfect = perfect_score(*index, ranked.terms, *session);
      ranked.scale = perfect > 0 ? query.weight / perfect : 0;
    }
    queries.push_back(std::move(ranked));
  }
  const ChunkRanges* scope = request.documents.empty() ? nullptr : &within;
  std::vector<NamedChunk> best;
  const std::vector<ScoredChunk> ranked = rank(*index, queries, limit, *session, scope);
  if (request.follow_names) {
    best = follow_names(*session, *index, asked, queries, ranked, limit, scope);
  } else {
    for (const ScoredChunk& chunk : ranked) best.push_back({chunk, ""});
  }
  std::vector<SearchHit> hits;
  for (NamedChunk& named : best) {
    const ScoredChunk& chunk = named.chunk;
    SearchHit hit;
    hit.name = std::move(named.name);
    hit.passage = passage_of(*session, chunk.id);
    hit.score = chunk.score;
    hit.heading_path = hit.passage.chunk.heading_path;
    const bool has_sections = request.sections && !hit.passage.chunk.later_sections.empty();
    if (request.explain || has_sections)
      hit.terms = shares(*index, queries, chunk.id, !hit.name.empty(), *session);
    if (has_sections)
      hit.heading_path = best_section(hit, session->document(hit.passage.document_id).language);
    if (!request.explain) hit.terms.clear();
    hits.push_back(std::move(hit));
  }
  return hits;
}

}  // namespace

std::unique_ptr<Collection> Collection::open(const std::filesystem::path& path) {
  return std::make_unique<StoredCollection>(Store::open(path));
}

std::unique_ptr<Collection> Collection::open_in_memory() {
  return std::make_unique<StoredCollection>(Store::open_in_memory());
}

void delete_collection(const std::filesystem::path& path) {
  Store::erase(path);
}

std::string storage_version() {
  return "SQLite " + sqlite_version();
}

std::string storage_caveat() {
  return has_wal_reset_bug()
             ? "two writers at once could damage its log (fixed in 3.51.3); a lock file lets one write"
             : "";
}

std::vector<std::filesystem::path> default_collections() {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder() / kCollectionsFolder, error))
    if (entry.path().extension() == kCollectionExtension) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::filesystem::path default_collection_path(const std::filesystem::path& folder) {
  std::error_code error;
  auto real = std::filesystem::canonical(folder, error);
  if (error) real = std::filesystem::absolute(folder).lexically_normal();
  const std::string name = real.filename().empty() ? "root" : real.filename().string();
  return data_folder() / kCollectionsFolder /
         (name + "-" + sha256_hex(real.string()).substr(0, 12) + kCollectionExtension);
}

}  // namespace lectern
