// Documents in memory for tests of the agent: chunks as given, searched by the sum of the rarities of shared
// terms, several queries fused by reciprocal rank.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/document_source.h"

namespace lectern {

struct MemoryDocument {
  std::string path;
  std::string title;
  std::string language = "en";
  std::vector<std::string> chunks;  // joined by "\n\n" they are the document's text
};

class MemorySource : public DocumentSource {
 public:
  explicit MemorySource(std::vector<MemoryDocument> documents);

  std::vector<SourcePassage> search(std::span<const SourceQuery> queries, int limit) override;
  std::vector<SourcePassage> read(int64_t document_id, int first, int count) override;
  int64_t n_documents() override { return static_cast<int64_t>(documents_.size()); }
  int64_t n_chunks() override { return static_cast<int64_t>(passages_.size()); }
  uint64_t n_characters() override;
  std::vector<int64_t> document_ids() override;
  std::vector<std::string> languages() override;
  std::string guess_language(std::string_view text) override;

  std::vector<std::optional<double>> kept_scores(std::span<const std::string> keys) override;
  void keep_scores(std::span<const std::pair<std::string, double>> scores) override;

  const std::string& text(int64_t document_id) const { return texts_[static_cast<size_t>(document_id)]; }
  std::map<std::string, double> scores;  // kept
  std::vector<std::string> searched;     // the text of every query so far

 private:
  std::vector<MemoryDocument> documents_;
  std::vector<std::string> texts_;
  std::vector<SourcePassage> passages_;
};

}  // namespace lectern
