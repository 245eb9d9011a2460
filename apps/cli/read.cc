// lectern read: the passage that a citation names.
#include "apps/cli/passages.h"
#include "apps/cli/target.h"

namespace lectern::cli {
namespace {

int read(Program& program, const std::vector<std::string>& arguments) {
  Output& out = program.output();
  const auto [folder, wanted] = split_arguments(arguments, "read", "citation");
  const auto collection = open_existing(find_target(program, folder));
  const Reference reference = parse_reference(*collection, wanted);

  Json result = json_result("read");
  std::string text;
  if (reference.chunk_id >= 0) {
    const Passage passage = collection->passage(reference.chunk_id);
    text = passage.text;
    result.update(to_json(place_of(passage)));
    out.note(describe(place_of(passage)));
  } else {
    const auto document = collection->find_document(reference.path);
    if (!document) {
      out.nothing(printable(reference.path) +
                  ": not in this collection; `lectern status --files` lists what is");
      return kExitNothing;
    }
    text = collection->text(document->id);
    const auto [begin, end] = find_range(*collection, *document, text, reference);
    text = text.substr(begin, end - begin);
    result["path"] = document->path;
    result["title"] = document->title;
    if (reference.first > 0)
      result[reference.is_page ? "pages" : "lines"] = {reference.first, reference.last};
  }
  if (text.empty()) {
    out.nothing(printable(wanted) + ": the document has no such place");
    return kExitNothing;
  }
  result["text"] = text;
  if (out.json()) {
    out.print_json(result);
  } else {
    const std::string shown = out.stdout_is_terminal() ? printable(text, /*keep_newlines=*/true) : text;
    out.print(shown.ends_with('\n') ? shown : shown + "\n");
  }
  return kExitFound;
}

}  // namespace

void register_read(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "read", "Print the passage that a citation names",
                                  "  lectern read notes garden/garden-diary.md:3-9\n"
                                  "  lectern read notes workshop/heating-summary.pdf:p1\n"
                                  "  lectern read notes \"#7\"\n");
  auto arguments = std::make_shared<std::vector<std::string>>();
  command->add_option("arguments", *arguments, "The folder (default: the one you are in) and the citation")
      ->option_text("[FOLDER] PATH[:LINES|:pPAGES]|#PASSAGE")
      ->required()
      ->expected(1, -1);  // more are refused with a remedy
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, arguments] { return read(program, *arguments); });
}

}  // namespace lectern::cli
