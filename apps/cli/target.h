// Which collection a command works on, from the folder it names, --collection, and the current folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/command.h"
#include "apps/common/reports.h"
#include "retrieval/collection.h"

namespace lectern::cli {

struct Target {
  std::filesystem::path folder;  // folder or file that was named or found; empty: only a database was named
  std::filesystem::path database;
};

// `folder` as given ("": not given). Without it the target is --collection, or else the nearest folder at or
// above the current one that has been indexed. Throws Error(kNotFound) that says what to name, and
// Error(kInvalidArgument) for what is neither a folder nor a file.
Target find_target(const Program& program, const std::string& folder);
// Null when there is none.
std::optional<Target> try_find_target(const Program& program, const std::string& folder);

// Makes the database and its folder when they are not there.
std::unique_ptr<Collection> open_or_create(const Target& target);
// Throws Error(kNotFound) when the folder has not been indexed.
std::unique_ptr<Collection> open_existing(const Target& target);

// Indexes what is new under the target's folder, with progress, a warning for every bad file, and a note when
// something changed. When another process is indexing, a note says so and the collection stays as it is.
std::optional<IndexReport> bring_up_to_date(Program& program, Collection& collection, const Target& target,
                                            const IndexOptions& options = {});

void warn_about_files(Program& program, const IndexReport& report);
std::string summary(const IndexReport& report);

// Commands that take [FOLDER] and one more argument.
struct FolderAndText {
  std::string folder;  // "": not given
  std::string text;
};
// `command` and what its text is ("question"), for the Error(kInvalidArgument) that says how to write several
// words.
FolderAndText split_arguments(const std::vector<std::string>& arguments, const std::string& command,
                              const std::string& what);

}  // namespace lectern::cli
