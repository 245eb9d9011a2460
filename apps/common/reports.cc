#include "apps/common/reports.h"

#include "base/error.h"
#include "retrieval/analyzer.h"

namespace lectern {

Json to_json(const IndexReport& report) {
  Json json;
  json["added"] = report.added;
  json["changed"] = report.changed;
  json["renamed"] = report.renamed;
  json["removed"] = report.removed;
  json["unchanged"] = report.unchanged;
  json["bytes_read"] = report.bytes_read;
  json["seconds"] = report.seconds;
  json["warnings"] = Json::array();
  for (const FileWarning& warning : report.warnings)
    json["warnings"].push_back(Json{{"path", warning.path}, {"reason", warning.reason}});
  return json;
}

void require_words(const std::string& text, const std::string& what) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw Error(ErrorCode::kInvalidArgument, "the " + what + " is empty");
  std::vector<Term> terms;
  Analyzer().analyze_query(text, terms);
  if (terms.empty())
    throw Error(ErrorCode::kInvalidArgument, "the " + what + " has no words, only punctuation or symbols");
}

}  // namespace lectern
