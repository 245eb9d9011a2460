// A collection as a vector store: one that a client made, or a folder that is served, which can only be read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/server/filters.h"
#include "apps/server/service.h"

namespace lectern::server {

struct StoreView {
  std::shared_ptr<OpenCollection> collection;
  std::optional<StoreRecord> record;  // none: a folder

  bool read_only() const { return !record; }
};

// Throws HttpError(404).
StoreView store_view(Service& service, const std::string& id);
// All, the stores of clients oldest first, then the folders.
std::vector<StoreView> store_views(Service& service);

// Of a folder its documents, whose ids are those of /lectern/collections/ID/documents.
std::vector<StoreFile> files_of(Service& service, const StoreView& view);

// The file of a folder's document.
StoreFile folder_file(const OpenCollection& folder, const DocumentInfo& document);

// The documents of files that are ready, and match the filter unless it is null, with their files, by the ids
// of documents.
std::vector<std::pair<int64_t, StoreFile>> searchable_files(Service& service, const StoreView& view,
                                                            const AttributeFilter* filter);

}  // namespace lectern::server
