#include "apps/server/wire.h"

#include <algorithm>

#include "apps/common/answers.h"

namespace lectern::server {
namespace {

Json page_json(int page) {
  return page > 0 ? Json(page) : Json(nullptr);
}

Json ranges_json(const ByteRanges& ranges) {
  Json json = Json::array();
  for (const auto& [begin, end] : ranges) json.push_back({begin, end});
  return json;
}

}  // namespace

Json hit_json(const SearchHit& hit, const ByteRanges& marked) {
  const Passage& passage = hit.passage;
  return {{"document", passage.document_id},
          {"chunk", passage.chunk_id},
          {"path", passage.path},
          {"title", passage.title},
          {"heading", hit.heading_path},
          {"page", page_json(passage.chunk.first_page)},
          {"line_first", passage.chunk.first_line},
          {"line_last", passage.chunk.last_line},
          {"score", hit.score},
          {"text", passage.text},
          {"begin", passage.chunk.begin},
          {"end", passage.chunk.end},
          {"highlights", ranges_json(marked)}};
}

Json hits_json(const Collection& collection, const SearchRequest& request,
               const std::vector<SearchHit>& hits) {
  std::vector<std::string> languages;
  for (const auto& [language, n] : collection.stats().languages) languages.push_back(language);
  Json list = Json::array();
  for (const SearchHit& hit : hits)
    list.push_back(hit_json(hit, highlights(request.queries.front().text, hit.passage.text, languages)));
  return list;
}

Json citation_json(const Citation& citation) {
  const SourcePassage& passage = citation.passage;
  return {{"number", citation.number},
          {"document", passage.document_id},
          {"path", passage.path},
          {"title", passage.title},
          {"heading", passage.heading_path},
          {"page", page_json(passage.first_page)},
          {"line_first", passage.first_line},
          {"line_last", passage.last_line},
          {"quote", citation.quote},
          {"quote_begin", citation.quote_begin},
          {"quote_end", citation.quote_end}};
}

Json answer_json(const Answer& answer, const std::string& model) {
  Json json{{"text", answer.text}, {"found", answer.found}, {"supported", is_supported(answer)}};
  json["citations"] = Json::array();
  for (const Citation& citation : answer.citations) json["citations"].push_back(citation_json(citation));
  json["unsupported"] = Json::array();
  for (const TextRange& claim : answer.unsupported) json["unsupported"].push_back({claim.begin, claim.end});
  json["cut"] = std::string(to_string(answer.cut));
  json["level"] = std::string(to_string(answer.level));
  json["calls"] = answer.trace.calls;
  json["seconds"] = answer.trace.seconds;
  json["model"] = model;
  return json;
}

Json document_json(const DocumentInfo& document) {
  return {{"id", document.id},          {"path", document.path},         {"title", document.title},
          {"format", document.format},  {"language", document.language}, {"text_bytes", document.text_bytes},
          {"chunks", document.n_chunks}};
}

Json collection_json(const OpenCollection& collection, const std::optional<std::string>& job) {
  const CollectionStats stats = collection.collection->stats();
  Json json{{"id", collection.id}, {"name", collection.name}};
  json["folders"] = Json::array();
  for (const auto& folder : collection.folders) json["folders"].push_back(folder.string());
  json["documents"] = stats.n_documents;
  json["chunks"] = stats.n_chunks;
  json["text_bytes"] = stats.text_bytes;
  json["languages"] = Json::array();
  for (const auto& [language, n] : stats.languages) json["languages"].push_back(Json::array({language, n}));
  json["job"] = job ? Json(*job) : Json(nullptr);
  return json;
}

}  // namespace lectern::server
