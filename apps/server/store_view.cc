#include "apps/server/store_view.h"

#include <algorithm>
#include <map>

#include "apps/server/http.h"

namespace lectern::server {
StoreFile folder_file(const OpenCollection& folder, const DocumentInfo& document) {
  StoreFile file;
  file.store = folder.id;
  file.file.id = std::to_string(document.id);
  file.file.filename = file.path = document.path;
  file.file.bytes = document.text_bytes;
  file.attributes = {{"path", document.path}, {"format", document.format}, {"language", document.language}};
  file.status = "completed";
  return file;
}

StoreView store_view(Service& service, const std::string& id) {
  for (auto& collection : service.collections())
    if (collection->id == id && !collection->is_store) return {collection, std::nullopt};
  auto record = service.stores().catalog().store(id);
  if (!record)
    throw HttpError(404, "there is no vector store \"" + id + "\"", "vector_store_not_found",
                    "vector_store_id");
  for (auto& collection : service.collections())
    if (collection->id == id) return {collection, std::move(record)};
  return {service.sync_store(id), std::move(record)};  // another server on this machine made it
}

std::vector<StoreView> store_views(Service& service) {
  std::vector<StoreView> views;
  for (const StoreRecord& record : service.stores().catalog().stores())
    views.push_back(store_view(service, record.id));
  for (auto& collection : service.collections())
    if (!collection->is_store) views.push_back({collection, std::nullopt});
  return views;
}

std::vector<StoreFile> files_of(Service& service, const StoreView& view) {
  if (!view.read_only()) return service.stores().catalog().store_files(view.record->id);
  std::vector<StoreFile> files;
  for (const DocumentInfo& document : view.collection->collection->documents())
    files.push_back(folder_file(*view.collection, document));
  return files;
}

std::vector<std::pair<int64_t, StoreFile>> searchable_files(Service& service, const StoreView& view,
                                                            const AttributeFilter* filter) {
  std::map<std::string, StoreFile> by_path;
  if (!view.read_only())
    for (StoreFile& file : files_of(service, view))
      if (file.status == "completed") by_path.emplace(file.path, std::move(file));
  std::vector<std::pair<int64_t, StoreFile>> files;
  for (const DocumentInfo& document : view.collection->collection->documents()) {
    StoreFile file;
    if (view.read_only()) {
      file = folder_file(*view.collection, document);
    } else {
      const auto found = by_path.find(document.path);
      if (found == by_path.end()) continue;
      file = found->second;
    }
    if (filter == nullptr || filter->matches(file.attributes))
      files.emplace_back(document.id, std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return files;
}

}  // namespace lectern::server
