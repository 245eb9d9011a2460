#include "agent/collection_source.h"

#include <algorithm>
#include <map>

#include "retrieval/analyzer.h"

namespace lectern {
namespace {

// A language of less than one in so many documents is not asked for.
constexpr int64_t kRareLanguage = 20;

SourcePassage to_source(Passage passage) {
  SourcePassage out;
  out.chunk_id = passage.chunk_id;
  out.document_id = passage.document_id;
  out.ordinal = passage.chunk.ordinal;
  out.path = std::move(passage.path);
  out.title = std::move(passage.title);
  out.heading_path = std::move(passage.chunk.heading_path);
  for (Chunk::Section& section : passage.chunk.later_sections)
    out.later_sections.push_back({section.offset, std::move(section.heading_path)});
  out.first_line = passage.chunk.first_line;
  out.last_line = passage.chunk.last_line;
  out.first_page = passage.chunk.first_page;
  out.last_page = passage.chunk.last_page;
  out.begin = passage.chunk.begin;
  out.end = passage.chunk.end;
  out.text = std::move(passage.text);
  return out;
}

}  // namespace

CollectionSource::CollectionSource(const Collection& collection, std::vector<int64_t> documents)
    : collection_(&collection), scope_(std::move(documents)), infos_(collection.documents()) {
  if (!scope_.empty()) {
    std::erase_if(infos_, [&](const DocumentInfo& info) {
      return std::find(scope_.begin(), scope_.end(), info.id) == scope_.end();
    });
  }
  std::sort(infos_.begin(), infos_.end(),
            [](const DocumentInfo& a, const DocumentInfo& b) { return a.path < b.path; });
  std::map<std::string, int64_t> n_of_language;
  for (const DocumentInfo& info : infos_) {
    n_chunks_ += info.n_chunks;
    n_characters_ += info.text_bytes;  // at least as many bytes as characters
    if (!info.language.empty()) ++n_of_language[info.language];
  }
  // A few documents may only seem to be in a language: names in a short text mislead the guess.
  for (const auto& [language, n] : n_of_language) {
    if (n * kRareLanguage >= static_cast<int64_t>(infos_.size())) languages_.push_back(language);
  }
  std::stable_sort(languages_.begin(), languages_.end(), [&](const std::string& a, const std::string& b) {
    return n_of_language[a] > n_of_language[b];
  });
}

std::vector<SourcePassage> CollectionSource::search(std::span<const SourceQuery> queries, int limit) {
  SearchRequest request;
  double weights = 0;
  for (const SourceQuery& query : queries) weights += query.weight;
  for (const SourceQuery& query : queries) request.queries.push_back({query.text, query.weight / weights});
  request.shares = true;
  request.limit = limit;
  request.documents = scope_;
  request.follow_names = true;
  std::vector<SourcePassage> out;
  for (SearchHit& hit : collection_->search(request)) {
    out.push_back(to_source(std::move(hit.passage)));
    out.back().score = std::min(1.0, hit.score);  // one character can be in many pairs
  }
  return out;
}

std::vector<SourcePassage> CollectionSource::read(int64_t document_id, int first, int count) {
  std::vector<SourcePassage> out;
  for (Passage& passage : collection_->passages(document_id, first, count)) {
    out.push_back(to_source(std::move(passage)));
  }
  return out;
}

std::vector<int64_t> CollectionSource::document_ids() {
  std::vector<int64_t> ids;
  for (const DocumentInfo& info : infos_) ids.push_back(info.id);
  return ids;
}

std::string CollectionSource::guess_language(std::string_view text) {
  return lectern::guess_language(text);
}

}  // namespace lectern
