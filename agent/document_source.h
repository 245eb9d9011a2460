// Where the agent's documents come from: the other of its two interfaces. Implementations: a collection
// (collection_source.h) and, in tests, documents of a scenario file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lectern {

struct SourcePassage {
  int64_t chunk_id = 0;
  int64_t document_id = 0;
  int ordinal = 0;  // of the chunk in its document
  std::string path;
  std::string title;
  std::string heading_path;  // where the passage begins
  struct Section {
    uint64_t offset = 0;  // bytes from the passage's beginning
    std::string heading_path;
  };
  std::vector<Section> later_sections;  // those that begin further on in the passage, ascending
  int first_line = 0, last_line = 0;
  int first_page = 0, last_page = 0;  // 0: no pages
  uint64_t begin = 0, end = 0;        // bytes of the document's text
  std::string text;                   // verbatim
  double score = 0;  // of a search: share of what a chunk with all the words would get, 0 to 1
};

struct SourceQuery {
  std::string text;
  double weight = 1.0;
};

class DocumentSource {
 public:
  virtual ~DocumentSource() = default;

  // Best first; of several queries, those that the documents know more of count more, beside their weights.
  virtual std::vector<SourcePassage> search(std::span<const SourceQuery> queries, int limit) = 0;
  // Chunks [first, first + count) of a document.
  virtual std::vector<SourcePassage> read(int64_t document_id, int first, int count) = 0;

  virtual int64_t n_documents() = 0;
  virtual int64_t n_chunks() = 0;
  virtual uint64_t n_characters() = 0;
  virtual std::vector<int64_t> document_ids() = 0;   // in order of path
  virtual std::vector<std::string> languages() = 0;  // two-letter codes, most documents first
  // Two-letter code of the language of a request, "" when unclear.
  virtual std::string guess_language(std::string_view text) = 0;

  // Scores of chunks from earlier questions, by key. A source need not keep any.
  virtual std::vector<std::optional<double>> kept_scores(std::span<const std::string> keys) {
    return std::vector<std::optional<double>>(keys.size());
  }
  virtual void keep_scores(std::span<const std::pair<std::string, double>> /*scores*/) {}
};

}  // namespace lectern
