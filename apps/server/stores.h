// Uploaded files and the vector stores made of them, on disk below one folder: the catalog, the bytes of
// files by the hash of their content, and one collection's database a store. No name of these comes from a
// client. The catalog is changed first; the rest follows, and what a kill left undone is done at the next
// start. Thread-safe.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/catalog.h"
#include "base/cancel.h"
#include "base/progress.h"
#include "retrieval/collection.h"

namespace lectern::server {

class Stores {
 public:
  // Throws Error that names what cannot be opened. Removes what nothing refers to.
  explicit Stores(std::filesystem::path folder);

  Catalog& catalog() { return catalog_; }

  FileRecord upload(const std::string& filename, const std::string& purpose, std::string_view bytes);
  std::string content(const FileRecord& file) const;
  // The ids of the stores that it was in; none: there was no such file.
  std::optional<std::vector<std::string>> remove_file(const std::string& id);

  std::filesystem::path database(const std::string& store) const;
  // Brings the store's collection in line with the catalog: documents of files that are gone go, and files
  // that are in_progress are read. Throws Error(kCancelled).
  void sync(const std::string& store, Collection& collection, const ProgressFn& progress,
            const CancelToken& cancel);

 private:
  void remove_orphans();
  void read_one(const StoreFile& file, Collection& collection, const CancelToken& cancel);

  std::filesystem::path folder_;
  Catalog catalog_;
  std::mutex content_mutex_;  // bytes come and go together with their rows
};

// A client's name for a file as we keep it: its last part, one line of UTF-8, at most 255 bytes, never empty.
std::string clean_filename(std::string_view name);

}  // namespace lectern::server
