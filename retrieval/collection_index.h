// Brings a store in line with the files under some roots, and changes it document by document. What
// Collection offers of writing; the functions take the store's write session for their duration.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/cancel.h"
#include "base/progress.h"
#include "retrieval/collection.h"
#include "retrieval/store.h"

namespace lectern {

// Collection::index.
IndexReport index_files(Store& store, std::span<const std::filesystem::path> roots,
                        const IndexOptions& options, const ProgressFn& progress, const CancelToken& cancel);
// Collection::add.
int64_t add_to_store(Store& store, const std::string& path, const Document& document);
// Collection::remove.
int remove_from_store(Store& store, const std::string& path);

}  // namespace lectern
