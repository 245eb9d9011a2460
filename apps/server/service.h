// What all routes share: the collections, the models and the jobs, and the questions that are put to them.
// Thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "apps/server/jobs.h"
#include "apps/server/model_host.h"
#include "retrieval/collection.h"

namespace lectern::server {

inline constexpr size_t kMaxQuestionBytes = 64 << 10;
inline constexpr int kMaxAnswerTokens = 8192;
inline constexpr double kMaxReadingSeconds = 600;  // of one question, before its answer is begun

struct OpenCollection {
  std::string id;
  std::vector<std::filesystem::path> folders;  // empty: of an index whose folders are gone
  std::filesystem::path database;
  std::unique_ptr<Collection> collection;
};

class Service {
 public:
  // Opens or makes the collection of each folder; without folders opens all that are indexed. Throws Error
  // that names the folder.
  Service(const std::vector<std::string>& folders, ModelHostOptions models);

  const std::vector<std::unique_ptr<OpenCollection>>& collections() const { return collections_; }
  // Why collections that are indexed are not served.
  const std::vector<std::string>& skipped() const { return skipped_; }
  // "": the only one there is. Throws HttpError(404, or 400 when one must be named).
  OpenCollection& collection(const std::string& id) const;
  // Throws HttpError(404).
  DocumentInfo document(const OpenCollection& collection, const std::string& id) const;

  // Looks for what is new under the collection's own folders.
  Job index(const OpenCollection& collection);

  // Answers from the collection with a model of models().list().
  struct Asked {
    Answer answer;
    std::string model;
  };
  Asked ask(const OpenCollection& collection, const std::string& model, AskRequest request, AskEvents events,
            const CancelToken& cancel);

  ModelHost& models() { return models_; }
  Jobs& jobs() { return jobs_; }

 private:
  void open(const std::filesystem::path& database, std::vector<std::filesystem::path> folders);

  std::vector<std::unique_ptr<OpenCollection>> collections_;
  std::vector<std::string> skipped_;
  ModelHost models_;
  Jobs jobs_;  // last: ends before what its jobs work on
};

}  // namespace lectern::server
