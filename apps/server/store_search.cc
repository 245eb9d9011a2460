#include "apps/server/store_search.h"

#include <algorithm>

#include "apps/common/reports.h"
#include "apps/server/wire.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxQueries = 16;
constexpr size_t kMaxQueryBytes = 8 << 10;

}  // namespace

StoreQuery read_store_query(const Fields& fields, int default_results) {
  StoreQuery query;
  query.max_results =
      static_cast<int>(fields.integer("max_num_results", default_results, 1, kMaxSearchResults));
  if (const Json* filters = fields.find("filters")) query.filter.emplace(*filters);
  if (const Json* ranking = fields.find("ranking_options")) {
    if (!ranking->is_object())
      throw HttpError(400, "\"ranking_options\" must be an object", "invalid_value", "ranking_options");
    // How passages are ranked is ours; a ranker's name says nothing here.
    query.score_threshold = Fields(*ranking).number("score_threshold", 0, 0, 1);
  }
  return query;
}

Json search_results(Service& service, const StoreView& view, const StoreQuery& query) {
  Json results = Json::array();
  // All of a folder is searched as it is: its documents need not be listed.
  const bool whole_folder = view.read_only() && !query.filter;
  std::vector<std::pair<int64_t, StoreFile>> files;
  if (!whole_folder) files = searchable_files(service, view, query.filter ? &*query.filter : nullptr);
  if (!whole_folder && files.empty()) return results;
  SearchRequest request;
  for (const std::string& text : query.texts)
    request.queries.push_back({text, 1.0 / static_cast<double>(query.texts.size())});
  request.limit = query.max_results;
  request.sections = true;
  request.shares = true;  // scores from 0 to 1
  for (const auto& [document, file] : files) request.documents.push_back(document);
  std::string words;
  for (const std::string& text : query.texts) words += text + "\n";
  std::vector<std::string> languages;
  for (const auto& [language, n] : view.collection->collection->stats().languages)
    languages.push_back(language);
  for (const SearchHit& hit : view.collection->collection->search(request)) {
    const double score = std::clamp(hit.score, 0.0, 1.0);
    if (score < query.score_threshold) continue;
    std::optional<StoreFile> file;
    if (whole_folder) {
      if (const auto document = view.collection->collection->find_document(hit.passage.path))
        file = folder_file(*view.collection, *document);
    } else {
      const auto found = std::lower_bound(files.begin(), files.end(), hit.passage.document_id,
                                          [](const auto& entry, int64_t id) { return entry.first < id; });
      if (found != files.end() && found->first == hit.passage.document_id) file = found->second;
    }
    if (!file) continue;
    Json content = Json::array();
    content.push_back({{"type", "text"}, {"text", hit.passage.text}});
    results.push_back({{"file_id", file->file.id},
                       {"filename", file->file.filename},
                       {"score", score},
                       {"attributes", file->attributes},
                       {"content", std::move(content)},
                       {"lectern", hit_json(hit, highlights(words, hit.passage.text, languages))}});
  }
  return results;
}

Json search_page(Service& service, const StoreView& view, const Fields& fields) {
  StoreQuery query = read_store_query(fields, 10);
  query.texts = fields.texts("query", kMaxQueries);
  const auto fail = [](const std::string& why) { throw HttpError(400, why, "invalid_value", "query"); };
  if (query.texts.empty()) fail("\"query\" is missing");
  size_t bytes = 0;
  for (const std::string& text : query.texts) {
    bytes += text.size();
    try {
      require_words(text, "query");
    } catch (const Error& error) {
      fail(error.what());
    }
  }
  if (bytes > kMaxQueryBytes) fail("\"query\" is longer than " + std::to_string(kMaxQueryBytes) + " bytes");
  if (fields.flag("rewrite_query", false))
    throw HttpError(400, "queries are searched for as they are: \"rewrite_query\" must be false",
                    "unsupported_parameter", "rewrite_query");
  Json data = search_results(service, view, query);
  if (!view.read_only()) service.stores().catalog().touch_store(view.record->id);
  return {{"object", "vector_store.search_results.page"},
          {"search_query", query.texts},
          {"data", std::move(data)},
          {"has_more", false},
          {"next_page", nullptr}};
}

}  // namespace lectern::server
