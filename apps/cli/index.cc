// lectern index
#include "apps/cli/target.h"

namespace lectern::cli {
namespace {

int index(Program& program, const std::vector<std::string>& folders, const IndexOptions& options) {
  Output& out = program.output();
  Json reports = Json::array();
  for (const std::string& folder : folders) {
    const Target target = find_target(program, folder);
    const std::vector<std::filesystem::path> roots = {target.folder};
    const auto collection = open_or_create(target);
    const IndexReport report = collection->index(roots, options, out.progress(), program.cancel);
    warn_about_files(program, report);
    const CollectionStats stats = collection->stats();
    if (out.json()) {
      Json json = to_json(report);
      json["folder"] = folder;
      json["collection"] = target.database.string();
      json["documents"] = stats.n_documents;
      json["chunks"] = stats.n_chunks;
      reports.push_back(json);
    } else {
      out.print_line(printable(folder) + ": " + summary(report) + "; " +
                     plural(stats.n_documents, "document") + ", " + plural(stats.n_chunks, "passage"));
    }
  }
  if (out.json()) {
    Json result = json_result("index");
    result["folders"] = reports;
    out.print_json(result);
  }
  return kExitFound;
}

}  // namespace

void register_index(CLI::App& app, Program& program) {
  struct Options {
    std::vector<std::string> folders;
    bool no_ignore = false;
  };
  CLI::App* command = add_command(app, "index", "Read new and changed documents of a folder",
                                  "  lectern index notes\n"
                                  "  lectern index notes/garden notes/trips --collection outdoors.db\n");
  auto options = std::make_shared<Options>();
  command
      ->add_option("FOLDER", options->folders,
                   "Folders or files; each has its own collection without --collection")
      ->required();
  command->add_flag("--no-ignore", options->no_ignore, "Read also what .gitignore and .ignore exclude");
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] {
    IndexOptions index_options;
    index_options.follow_ignore_files = !options->no_ignore;
    return index(program, options->folders, index_options);
  });
}

}  // namespace lectern::cli
