#include "apps/server/service.h"

#include <algorithm>
#include <charconv>

#include "agent/collection_source.h"
#include "apps/common/reports.h"
#include "apps/server/http.h"
#include "base/files.h"

namespace lectern::server {

namespace fs = std::filesystem;

OpenCollection::~OpenCollection() {
  if (!deleted) return;
  collection.reset();
  try {
    delete_collection(database);
  } catch (const Error&) {
    // Another server reads it: the next start removes it.
  }
}

namespace {

// " notes, papers, ...", for messages.
std::string names_of(const std::vector<std::shared_ptr<OpenCollection>>& collections) {
  constexpr size_t kMost = 8;
  std::string names;
  for (size_t i = 0; i < std::min(collections.size(), kMost); ++i)
    names += (i == 0 ? " " : ", ") + collections[i]->id;
  if (collections.size() > kMost) names += ", ...";
  return names.empty() ? " none" : names;
}

}  // namespace

Service::Service(const std::vector<std::string>& folders, ModelHostOptions models, Uploads uploads)
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
  for (const fs::path& database : folders.empty() ? default_collections() : std::vector<fs::path>()) {
    try {
      open(database, {});
    } catch (const Error& why) {
      skipped_.emplace_back(why.what());  // one that is damaged does not keep the others from being served
    }
  }
  if (uploads == Uploads::kNone) return;
  try {
    stores_ = std::make_unique<Stores>(data_folder() / "server");
  } catch (const Error& why) {
    skipped_.emplace_back(why.what());
    return;
  }
  for (const StoreRecord& store : stores_->catalog().stores()) {
    try {
      sync_store(store.id);
    } catch (const Error& why) {
      skipped_.emplace_back(why.what());
    }
  }
}

void Service::open(const fs::path& database, std::vector<fs::path> folders) {
  for (const auto& other : collections_)
    if (other->database == database) return;  // a folder that was named twice
  auto opened = std::make_shared<OpenCollection>();
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
  opened->name = opened->id;
  collections_.push_back(std::move(opened));
}

std::vector<std::shared_ptr<OpenCollection>> Service::collections() const {
  const std::lock_guard lock(mutex_);
  return collections_;
}

std::shared_ptr<OpenCollection> Service::collection(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  if (id.empty()) {
    // A store that a client makes does not change what is meant by no name.
    const bool only_folder = !collections_.empty() && !collections_.front()->is_store &&
                             (collections_.size() == 1 || collections_[1]->is_store);
    if (only_folder || collections_.size() == 1) return collections_.front();
    throw HttpError(400, "name the collection:" + names_of(collections_), "missing_collection", "collection");
  }
  for (const auto& collection : collections_)
    if (collection->id == id) return collection;
  throw HttpError(404, "there is no collection \"" + id + "\"; there are:" + names_of(collections_),
                  "collection_not_found", "collection");
}

Stores& Service::stores() const {
  if (!stores_)
    throw HttpError(503, "uploads cannot be kept here; the server said why when it started", "no_stores");
  return *stores_;
}

std::shared_ptr<OpenCollection> Service::open_store(const std::string& id) {
  const std::lock_guard lock(mutex_);
  for (const auto& collection : collections_)
    if (collection->id == id) return collection;
  const auto record = stores().catalog().store(id);
  if (!record)
    throw HttpError(404, "there is no vector store \"" + id + "\"", "vector_store_not_found",
                    "vector_store_id");
  auto opened = std::make_shared<OpenCollection>();
  opened->id = id;
  opened->name = record->name.empty() ? id : record->name;
  opened->is_store = true;
  opened->database = stores().database(id);
  opened->collection = Collection::open(opened->database);
  collections_.push_back(opened);
  return opened;
}

std::shared_ptr<OpenCollection> Service::sync_store(const std::string& id) {
  auto opened = open_store(id);
  const auto work = [this, opened](const ProgressFn& progress, const CancelToken& cancel) {
    if (!opened->deleted) stores().sync(opened->id, *opened->collection, progress, cancel);
    return Json(nullptr);
  };
  store_jobs_.start(id, work, /*afresh=*/true);
  return opened;
}

void Service::drop_store(const std::string& id) {
  const std::lock_guard lock(mutex_);
  std::erase_if(collections_, [&](const auto& collection) {
    if (collection->id != id || !collection->is_store) return false;
    collection->deleted = true;
    return true;
  });
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

Job Service::index(const std::shared_ptr<OpenCollection>& collection) {
  if (collection->is_store)
    throw HttpError(400, "this collection has no folder: add files by /v1/vector_stores/ID/files",
                    "no_folders");
  if (collection->folders.empty())
    throw HttpError(400, "the folders of this collection are not there any more", "no_folders");
  return jobs_.start(collection->id, [collection](const ProgressFn& progress, const CancelToken& cancel) {
    return lectern::to_json(collection->collection->index(collection->folders, {}, progress, cancel));
  });
}

Service::Asked Service::ask(const OpenCollection& collection, const std::string& model, AskRequest request,
                            AskEvents events, const CancelToken& cancel,
                            const std::vector<int64_t>& documents) {
  if (request.question.size() > kMaxQuestionBytes)
    throw HttpError(400, "the question is longer than " + std::to_string(kMaxQuestionBytes) + " bytes",
                    "question_too_long", "question");
  require_words(request.question, "question");
  if (request.budget.seconds <= 0 || request.budget.seconds > kMaxReadingSeconds)
    request.budget.seconds = kMaxReadingSeconds;
  const ModelHost::Lease lease =
      models_.acquire(model, events.on_progress, cancel, ModelHost::Beside::kHelper);
  CollectionSource source(*collection.collection, documents);
  return {Agent(lease.model(), lease.helper(), source).ask(request, events, cancel), lease.id()};
}

}  // namespace lectern::server
