// A collection as the agent's documents. Keeps a reference to the collection, which must outlive it.
#pragma once

#include "agent/document_source.h"
#include "retrieval/collection.h"

namespace lectern {

class CollectionSource : public DocumentSource {
 public:
  // `documents`: ids to which everything is restricted; empty: all.
  explicit CollectionSource(const Collection& collection, std::vector<int64_t> documents = {});

  std::vector<SourcePassage> search(std::span<const SourceQuery> queries, int limit) override;
  std::vector<SourcePassage> read(int64_t document_id, int first, int count) override;

  int64_t n_documents() override { return static_cast<int64_t>(infos_.size()); }
  int64_t n_chunks() override { return n_chunks_; }
  uint64_t n_characters() override { return n_characters_; }
  std::vector<int64_t> document_ids() override;
  std::vector<std::string> languages() override { return languages_; }
  std::string guess_language(std::string_view text) override;
  std::vector<std::optional<double>> kept_scores(std::span<const std::string> keys) override {
    return collection_->kept_scores(keys);
  }
  void keep_scores(std::span<const std::pair<std::string, double>> scores) override {
    collection_->keep_scores(scores);
  }

 private:
  const Collection* collection_;
  std::vector<int64_t> scope_;
  std::vector<DocumentInfo> infos_;  // in scope, by path
  std::vector<std::string> languages_;
  int64_t n_chunks_ = 0;
  uint64_t n_characters_ = 0;
};

}  // namespace lectern
