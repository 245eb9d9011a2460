// Finds the files under the folders a person names: regular files in a fixed order, without what .gitignore
// and .ignore files exclude, hidden names (.git, .obsidian, .trash) and version control of others. Symbolic
// links below a root are not followed: what they point to inside the root is found anyway, and what lies
// outside was not asked for (it is warned about). A root that is itself a link is followed. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "retrieval/document.h"

namespace lectern {

struct FoundFile {
  std::filesystem::path path;  // absolute, without links; a name may hold any byte but '/' and NUL
  std::string relative;        // below its root, with '/'; the file's name when the root is the file itself
  size_t root = 0;             // index into the roots
  uint64_t size = 0;
  int64_t mtime_ns = 0;  // since 1970
};

struct FoundFiles {
  std::vector<FoundFile> files;  // by path, each file once even where roots overlap
  std::vector<FileWarning> warnings;
  uint64_t n_ignored = 0;  // files and folders left out by ignore files
};

// Throws Error(kNotFound) naming a root that does not exist, kCancelled. What cannot be read below a root is
// warned about by name.
FoundFiles find_files(std::span<const std::filesystem::path> roots, bool follow_ignore_files,
                      const CancelToken& cancel);

}  // namespace lectern
