// What all routes share: the collections, the models and the jobs, and the questions that are put to them.
// Thread-safe.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "apps/server/jobs.h"
#include "apps/server/model_host.h"
#include "apps/server/stores.h"
#include "retrieval/collection.h"

namespace lectern::server {

inline constexpr size_t kMaxQuestionBytes = 64 << 10;
inline constexpr int kMaxAnswerTokens = 8192;
inline constexpr double kMaxReadingSeconds = 600;  // of one question, before its answer is begun

// Lives as long as somebody uses it, also when it has been taken off the list.
struct OpenCollection {
  OpenCollection() = default;
  OpenCollection(const OpenCollection&) = delete;
  OpenCollection& operator=(const OpenCollection&) = delete;
  ~OpenCollection();  // erases the database of a store that was deleted

  std::string id;
  std::string name;
  std::vector<std::filesystem::path> folders;  // empty: of an index whose folders are gone
  std::filesystem::path database;
  std::unique_ptr<Collection> collection;
  bool is_store = false;  // made by a client (stores.h): it has no folders
  std::atomic<bool> deleted{false};
};

class Service {
 public:
  // Opens or makes the collection of each folder; without folders opens all that are indexed. Throws Error
  // that names the folder.
  // Also opens what clients have uploaded, unless the folders are all that is to be served.
  enum class Uploads { kServed, kNone };
  Service(const std::vector<std::string>& folders, ModelHostOptions models,
          Uploads uploads = Uploads::kServed);

  // Those of folders first, then the stores that clients made.
  std::vector<std::shared_ptr<OpenCollection>> collections() const;
  // Why collections that are indexed are not served.
  const std::vector<std::string>& skipped() const { return skipped_; }
  // "": the only one that is served. Throws HttpError(404, or 400 when one must be named).
  std::shared_ptr<OpenCollection> collection(const std::string& id) const;
  // Throws HttpError(404).
  DocumentInfo document(const OpenCollection& collection, const std::string& id) const;

  // Looks for what is new under the collection's own folders.
  Job index(const std::shared_ptr<OpenCollection>& collection);

  // Uploads and what was made of them. Throws HttpError(503) when their folder cannot be used.
  Stores& stores() const;
  // Opens the collection of a store of the catalog unless it is open, and reads in the background what is
  // new.
  std::shared_ptr<OpenCollection> sync_store(const std::string& id);
  // Off the list; its database goes when nobody uses it any more.
  void drop_store(const std::string& id);

  // Answers from the collection, or only those of its `documents`, with a model of models().list().
  struct Asked {
    Answer answer;
    std::string model;
  };
  Asked ask(const OpenCollection& collection, const std::string& model, AskRequest request, AskEvents events,
            const CancelToken& cancel, const std::vector<int64_t>& documents = {});

  ModelHost& models() { return models_; }
  Jobs& jobs() { return jobs_; }

 private:
  void open(const std::filesystem::path& database, std::vector<std::filesystem::path> folders);

  std::shared_ptr<OpenCollection> open_store(const std::string& id);

  mutable std::mutex mutex_;  // of the list; opening happens under it, too
  std::vector<std::shared_ptr<OpenCollection>> collections_;
  std::vector<std::string> skipped_;
  std::unique_ptr<Stores> stores_;  // null: cannot be used
  ModelHost models_;
  Jobs jobs_, store_jobs_;  // last: end before what their jobs work on
};

}  // namespace lectern::server
