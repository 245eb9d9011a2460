// lectern status, lectern rm
#include "apps/cli/reading_plan.h"
#include "apps/cli/target.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

namespace fs = std::filesystem;

struct StatusOptions {
  std::string folder;
  bool files = false;
};

std::string languages_in_words(const CollectionStats& stats) {
  std::string text;
  for (const auto& [language, n] : stats.languages)
    text += (text.empty() ? "" : ", ") + (language.empty() ? "unclear" : language) + " " + std::to_string(n);
  return text;
}

Json document_json(const DocumentInfo& document) {
  return Json{{"id", document.id},           {"path", document.path},         {"title", document.title},
              {"format", document.format},   {"language", document.language}, {"bytes", document.text_bytes},
              {"chunks", document.n_chunks}, {"sha256", document.hash}};
}

// What the collection was made of: folders, or the one file that it is of.
std::vector<std::string> sources_of(const fs::path& database, const Collection& collection,
                                    int64_t n_documents) {
  std::vector<std::string> roots = collection.roots();
  if (roots.size() != 1 || n_documents != 1) return roots;
  const fs::path file = fs::path(roots[0]) / collection.documents()[0].path;
  if (default_collection_path(file) == database) return {file.string()};
  return roots;
}

// One line for each collection in the data folder; those that cannot be read are warnings.
int status_of_all(Program& program) {
  Output& out = program.output();
  Json list = Json::array();
  for (const fs::path& database : default_collections()) {
    try {
      const auto collection = Collection::open(database);
      const CollectionStats stats = collection->stats();
      const std::vector<std::string> roots = sources_of(database, *collection, stats.n_documents);
      if (out.json()) {
        list.push_back(Json{{"collection", database.string()},
                            {"folders", roots},
                            {"documents", stats.n_documents},
                            {"chunks", stats.n_chunks},
                            {"text_bytes", stats.text_bytes},
                            {"file_bytes", stats.file_bytes}});
        continue;
      }
      list.push_back(database.string());
      std::string folders;
      for (const std::string& root : roots) folders += (folders.empty() ? "" : ", ") + printable(root);
      out.print_line((folders.empty() ? printable(database.string()) : folders) + "  " +
                     plural(stats.n_documents, "document") + ", " + plural(stats.n_chunks, "passage") + ", " +
                     format_bytes(stats.file_bytes));
    } catch (const Error& error) {
      out.warning(printable(error.what()));
    }
  }
  const KvStoreUse kept = kv_store_use(kept_folder());
  if (out.json()) {
    Json result = json_result("status.all");
    result["collections"] = list;
    result["kept"] = {{"folder", kept_folder().string()},
                      {"texts", kept.files},
                      {"bytes", kept.bytes},
                      {"max_bytes", kept_limit_bytes(program)}};
    out.print_json(result);
    return list.empty() ? kExitNothing : kExitFound;
  }
  if (list.empty()) out.note("nothing is indexed; begin with: lectern index FOLDER");
  if (kept.files > 0) {
    out.note(plural(kept.files, "text") + " that had been read whole: " + format_bytes(kept.bytes) + " of " +
             format_bytes(kept_limit_bytes(program)) + " on disk; lectern rm --kept deletes them");
  }
  return list.empty() ? kExitNothing : kExitFound;
}

int status(Program& program, const StatusOptions& options) {
  Output& out = program.output();
  if (options.folder.empty() && program.options.collection.empty() && !options.files)
    return status_of_all(program);
  const Target target = find_target(program, options.folder);
  const auto collection = open_existing(target);
  const CollectionStats stats = collection->stats();
  const std::vector<DocumentInfo> documents =
      options.files ? collection->documents() : std::vector<DocumentInfo>();

  if (out.json()) {
    Json result = json_result("status");
    result["collection"] = target.database.string();
    result["folder"] = target.folder.empty() ? Json(nullptr) : Json(target.folder.string());
    result["documents"] = stats.n_documents;
    result["chunks"] = stats.n_chunks;
    result["terms"] = stats.n_terms;
    result["text_bytes"] = stats.text_bytes;
    result["text_characters"] = stats.text_characters;
    result["index_bytes"] = stats.index_bytes;
    result["file_bytes"] = stats.file_bytes;
    result["languages"] = Json::object();
    for (const auto& [language, n] : stats.languages) result["languages"][language] = n;
    if (options.files) {
      result["files"] = Json::array();
      for (const DocumentInfo& document : documents) result["files"].push_back(document_json(document));
    }
    out.print_json(result);
    return stats.n_documents > 0 ? kExitFound : kExitNothing;
  }
  for (const DocumentInfo& document : documents) {
    out.print_line(printable(document.path) + "  " + document.format +
                   (document.language.empty() ? "" : " " + document.language) + "  " +
                   format_bytes(document.text_bytes) + "  " + plural(document.n_chunks, "passage"));
  }
  if (!target.folder.empty()) out.print_line("folder      " + printable(target.folder.string()));
  out.print_line("collection  " + printable(target.database.string()) + " (" +
                 format_bytes(stats.file_bytes) + ")");
  out.print_line("documents   " + std::to_string(stats.n_documents) +
                 (stats.languages.empty() ? "" : " (" + languages_in_words(stats) + ")"));
  out.print_line("passages    " + std::to_string(stats.n_chunks) + " of " + format_bytes(stats.text_bytes) +
                 " text");
  out.print_line("index       " + format_bytes(stats.index_bytes) + ", " + plural(stats.n_terms, "term"));
  return stats.n_documents > 0 ? kExitFound : kExitNothing;
}

struct RemoveOptions {
  std::string folder;
  std::vector<std::string> paths;
  bool dry_run = false;
  bool kept = false;
};

// The KV of documents that were read whole.
int remove_kept(Program& program, bool dry_run) {
  Output& out = program.output();
  const KvStoreUse use = kv_store_use(kept_folder());
  if (!dry_run) clear_kv_store(kept_folder());
  if (out.json()) {
    Json result = json_result("rm.kept");
    result["texts"] = use.files;
    result["bytes"] = use.bytes;
    result["dry_run"] = dry_run;
    out.print_json(result);
  } else {
    out.print_line((dry_run ? "would remove " : "removed ") + plural(use.files, "kept text") + ", " +
                   format_bytes(use.bytes));
  }
  return kExitFound;
}

// The documents at `path` or under it.
int n_matching(const Collection& collection, const std::string& path) {
  int n = 0;
  for (const DocumentInfo& document : collection.documents())
    n += document.path == path || document.path.starts_with(path.ends_with('/') ? path : path + "/");
  return n;
}

// The whole index, also one that is damaged; the number of its documents, null where it cannot be told.
Json remove_collection(const Target& target, bool dry_run) {
  Json n_documents;
  try {
    n_documents = open_existing(target)->stats().n_documents;
  } catch (const Error& error) {
    // delete_collection() refuses what is no collection of ours.
    if (dry_run || error.code() == ErrorCode::kNotFound) throw;
  }
  if (!dry_run) delete_collection(target.database);
  return n_documents;
}

int remove(Program& program, const RemoveOptions& options) {
  Output& out = program.output();
  if (options.kept) return remove_kept(program, options.dry_run);
  if (options.folder.empty())
    throw Error(ErrorCode::kInvalidArgument, "name the folder whose index is to go, or --kept");
  const Target target = find_target(program, options.folder);
  Json n_documents;
  int64_t n = 0;
  if (options.paths.empty()) {
    n_documents = remove_collection(target, options.dry_run);
  } else {
    const auto collection = open_existing(target);
    for (const std::string& path : options.paths) {
      const int here = options.dry_run ? n_matching(*collection, path) : collection->remove(path);
      if (here == 0) out.warning(printable(path) + ": not in this collection");
      n += here;
    }
    n_documents = n;
  }
  if (out.json()) {
    Json result = json_result("rm");
    result["collection"] = target.database.string();
    result["documents"] = n_documents;
    result["dry_run"] = options.dry_run;
    out.print_json(result);
  } else {
    const std::string what = n_documents.is_null()
                                 ? "an index that cannot be read"
                                 : plural(n_documents.get<int64_t>(), "document") + " from the index" +
                                       (options.paths.empty() ? ", and the index" : "");
    out.print_line((options.dry_run ? "would remove " : "removed ") + what);
    out.note(
        options.paths.empty()
            ? "the files themselves stay"
            : "the files themselves stay; to leave them out of the next index, too, name them in .ignore");
    if (kv_store_use(kept_folder()).files > 0)
      out.note("texts that were read whole stay on disk, too: lectern rm --kept deletes them");
  }
  return n > 0 || options.paths.empty() ? kExitFound : kExitNothing;
}

}  // namespace

void register_status(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "status", "Show what is indexed",
                                  "  lectern status\n"
                                  "  lectern status notes --files\n");
  auto options = std::make_shared<StatusOptions>();
  command->add_option("FOLDER", options->folder,
                      "The folder (default: all, a line each; with --files the one you are in)");
  command->add_flag("--files", options->files, "List every document");
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return status(program, *options); });
}

void register_rm(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "rm", "Forget documents, or a whole index; files are never touched",
                                  "  lectern rm notes garden/bean-soup.md trips/ --dry-run\n"
                                  "  lectern rm notes\n"
                                  "  lectern rm --kept\n");
  auto options = std::make_shared<RemoveOptions>();
  CLI::Option* folder = command->add_option("FOLDER", options->folder, "The folder whose index it is");
  command->add_option("PATH", options->paths, "Documents or folders in it; none: the whole index");
  command
      ->add_flag(
          "--kept", options->kept,
          "Instead: what documents that were read whole (ask --level 4) left on disk to be asked again")
      ->excludes(folder);
  command->add_flag("--dry-run", options->dry_run, "Only say what would go");
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return remove(program, *options); });
}

}  // namespace lectern::cli
