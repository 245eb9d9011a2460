#include "apps/cli/target.h"

#include "base/error.h"

namespace lectern::cli {

namespace fs = std::filesystem;

namespace {

void warn_about(Program& program, const FileWarning& warning) {
  program.output().warning(printable(warning.path) + ": " + printable(warning.reason));
}

// What was wrong with files that have not changed since is not said again before every answer.
void warn_about_changed_files(Program& program, const IndexReport& report) {
  int64_t n_known = 0;
  for (const FileWarning& warning : report.warnings) {
    if (warning.known) {
      ++n_known;
    } else {
      warn_about(program, warning);
    }
  }
  if (n_known > 0)
    program.output().note(plural(n_known, "earlier warning") +
                          " about files; `lectern index` on the folder shows them again");
}

}  // namespace

std::optional<Target> try_find_target(const Program& program, const std::string& folder) {
  const std::string& database = program.options.collection;
  std::error_code error;
  if (!folder.empty()) {
    if (!fs::exists(folder, error)) {
      throw Error(ErrorCode::kNotFound, folder + ": " + (error ? error.message() : "no such file or folder"));
    }
    if (!fs::is_directory(folder, error) && !fs::is_regular_file(folder, error))
      throw Error(ErrorCode::kInvalidArgument,
                  folder + ": is neither a file nor a folder; name one of these");
    return Target{folder, database.empty() ? default_collection_path(folder) : fs::path(database)};
  }
  if (!database.empty()) return Target{{}, database};
  for (fs::path above = fs::current_path(error); !error && !above.empty(); above = above.parent_path()) {
    const fs::path candidate = default_collection_path(above);
    if (fs::exists(candidate, error)) return Target{above, candidate};
    error.clear();
    if (above == above.parent_path()) break;
  }
  return std::nullopt;
}

Target find_target(const Program& program, const std::string& folder) {
  if (const auto target = try_find_target(program, folder)) return *target;
  throw Error(
      ErrorCode::kNotFound,
      "no folder was named, and none at or above the current one is indexed; name one, or index one with: "
      "lectern index FOLDER");
}

std::unique_ptr<Collection> open_or_create(const Target& target) {
  std::error_code error;
  const fs::path parent = target.database.parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  if (error) throw Error(ErrorCode::kIo, parent.string() + ": " + error.message());
  return Collection::open(target.database);
}

std::unique_ptr<Collection> open_existing(const Target& target) {
  std::error_code error;
  if (fs::exists(target.database, error)) return Collection::open(target.database);
  if (target.folder.empty())
    throw Error(ErrorCode::kNotFound, target.database.string() +
                                          ": no such collection; make it with: lectern index "
                                          "FOLDER --collection " +
                                          target.database.string());
  throw Error(
      ErrorCode::kNotFound,
      target.folder.string() + " has not been indexed; do it with: lectern index " + target.folder.string());
}

std::optional<IndexReport> bring_up_to_date(Program& program, Collection& collection, const Target& target,
                                            const IndexOptions& options) {
  if (target.folder.empty()) return std::nullopt;
  Output& out = program.output();
  const std::vector<fs::path> roots = {target.folder};
  IndexReport report;
  try {
    report = collection.index(roots, options, out.progress(), program.cancel);
  } catch (const Error& error) {
    // Another process writes, or nobody may: what is indexed can still be read.
    const std::string why = "not brought up to date: " + printable(error.what());
    if (error.code() == ErrorCode::kUnavailable) {
      out.note(why);
    } else if (error.code() == ErrorCode::kIo && collection.stats().n_documents > 0) {
      out.warning(why + "; what is indexed is used (--no-index says no more of it)");
    } else {
      throw;
    }
    return std::nullopt;
  }
  warn_about_changed_files(program, report);
  if (report.added + report.changed + report.renamed + report.removed > 0) out.note(summary(report));
  return report;
}

void warn_about_files(Program& program, const IndexReport& report) {
  for (const FileWarning& warning : report.warnings) warn_about(program, warning);
}

std::string summary(const IndexReport& report) {
  std::string text = "indexed";
  const auto add = [&text](int n, const std::string& what) {
    if (n > 0) text += (text == "indexed" ? ": " : ", ") + std::to_string(n) + " " + what;
  };
  add(report.added, "new");
  add(report.changed, "changed");
  add(report.renamed, "renamed");
  add(report.removed, "removed");
  add(report.unchanged, "unchanged");
  if (text == "indexed") text += ": no documents";
  return text + " (" + format_bytes(report.bytes_read) + " read in " + format_seconds(report.seconds) + ")";
}

FolderAndText split_arguments(const std::vector<std::string>& arguments, const std::string& command,
                              const std::string& what) {
  if (arguments.size() == 1) return {"", arguments[0]};
  if (arguments.size() == 2) return {arguments[0], arguments[1]};
  constexpr size_t kLongestExample = 100;
  std::error_code error;
  const bool names_folder = fs::exists(arguments.at(0), error);
  std::string words;
  for (size_t i = names_folder ? 1 : 0; i < arguments.size() && words.size() <= kLongestExample; ++i)
    words += (words.empty() ? "" : " ") + arguments[i];
  if (words.size() > kLongestExample) words = "...";
  throw Error(ErrorCode::kInvalidArgument,
              "more than a folder and a " + what + " were given; put the " + what + " in quotes: lectern " +
                  command + " " + (names_folder ? arguments[0] + " " : "") + "\"" + words + "\"");
}

}  // namespace lectern::cli
