#include "apps/server/service.h"

#include <algorithm>
#include <charconv>

#include "agent/collection_source.h"
#include "apps/common/reports.h"
#include "apps/server/http.h"

namespace lectern::server {

namespace fs = std::filesystem;

Service::Service(const std::vector<std::string>& folders, ModelHostOptions models)
    : models_(std::move(models)) {
  std::error_code error;
  for (const std::string& folder : folders) {
    if (!fs::exists(folder, error))
      throw Error(ErrorCode::kNotFound, folder + ": " + (error ? error.message() : "no such file or folder"));
    const fs::path database = default_collection_path(folder);
    fs::create_directories(database.parent_path(), error);
    if (error) throw Error(ErrorCode::kIo, database.parent_path().string() + ": " + error.message());
    open(database, {folder});
  }
  if (!folders.empty()) return;
  for (const fs::path& database : default_collections()) {
    try {
      open(database, {});
    } catch (const Error& why) {
      skipped_.emplace_back(why.what());  // one that is damaged does not keep the others from being served
    }
  }
}

void Service::open(const fs::path& database, std::vector<fs::path> folders) {
  for (const auto& other : collections_)
    if (other->database == database) return;  // a folder that was named twice
  auto opened = std::make_unique<OpenCollection>();
  opened->database = database;
  opened->collection = Collection::open(database);
  std::error_code error;
  if (folders.empty()) {
    for (const std::string& root : opened->collection->roots())
      if (fs::exists(root, error)) folders.emplace_back(root);
  }
  opened->folders = std::move(folders);
  std::string name = database.stem().string();
  if (!opened->folders.empty()) {
    const fs::path whole = fs::weakly_canonical(opened->folders.front(), error);
    if (!error && !whole.filename().empty()) name = whole.filename().string();
  }
  std::replace(name.begin(), name.end(), '/', '-');
  const auto taken = [&](const std::string& id) {
    return std::any_of(collections_.begin(), collections_.end(),
                       [&](const auto& other) { return other->id == id; });
  };
  opened->id = name;
  for (int n = 2; taken(opened->id); ++n) opened->id = name + "-" + std::to_string(n);
  collections_.push_back(std::move(opened));
}

OpenCollection& Service::collection(const std::string& id) const {
  if (id.empty()) {
    if (collections_.size() == 1) return *collections_.front();
    throw HttpError(400, "name the collection; GET /lectern/collections lists them", "missing_collection",
                    "collection");
  }
  for (const auto& collection : collections_)
    if (collection->id == id) return *collection;
  throw HttpError(404, "there is no collection \"" + id + "\"; GET /lectern/collections lists them",
                  "collection_not_found", "collection");
}

DocumentInfo Service::document(const OpenCollection& collection, const std::string& id) const {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error == std::errc() && end == id.data() + id.size()) {
    for (DocumentInfo& info : collection.collection->documents())
      if (info.id == number) return std::move(info);
  }
  throw HttpError(404, "there is no document " + id + " in this collection", "document_not_found");
}

Job Service::index(const OpenCollection& collection) {
  if (collection.folders.empty())
    throw HttpError(400, "the folders of this collection are not there any more", "no_folders");
  return jobs_.start(collection.id, [&collection](const ProgressFn& progress, const CancelToken& cancel) {
    return lectern::to_json(collection.collection->index(collection.folders, {}, progress, cancel));
  });
}

Service::Asked Service::ask(const OpenCollection& collection, const std::string& model, AskRequest request,
                            AskEvents events, const CancelToken& cancel) {
  if (request.question.size() > kMaxQuestionBytes)
    throw HttpError(400, "the question is longer than " + std::to_string(kMaxQuestionBytes) + " bytes",
                    "question_too_long", "question");
  require_words(request.question, "question");
  if (request.budget.seconds <= 0 || request.budget.seconds > kMaxReadingSeconds)
    request.budget.seconds = kMaxReadingSeconds;
  const ModelHost::Lease lease = models_.acquire(model, events.on_progress, cancel);
  CollectionSource source(*collection.collection);
  return {Agent(lease.model(), source).ask(request, events, cancel), lease.id()};
}

}  // namespace lectern::server
