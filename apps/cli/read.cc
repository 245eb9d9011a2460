// lectern read: the passage that a citation names.
#include <charconv>

#include "apps/cli/passages.h"
#include "apps/cli/target.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

// "path", "path:3", "path:3-9", "path:p4", "path:p4-5" or "#17" (a chunk's id, as search prints it).
struct Reference {
  std::string path;
  int64_t chunk_id = -1;
  bool is_page = false;
  int first = 0, last = 0;  // 0: the whole document
};

bool parse_number(std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() && out >= 0;
}

// The part after the last colon, when it is a range.
bool parse_range(std::string_view text, Reference& reference) {
  if (text.starts_with('p')) {
    reference.is_page = true;
    text.remove_prefix(1);
  }
  const size_t dash = text.find('-');
  int64_t first = 0, last = 0;
  if (!parse_number(text.substr(0, dash), first)) return false;
  last = first;
  if (dash != std::string_view::npos && !parse_number(text.substr(dash + 1), last)) return false;
  if (first < 1 || last < first || last > std::numeric_limits<int>::max()) return false;
  reference.first = static_cast<int>(first);
  reference.last = static_cast<int>(last);
  return true;
}

Reference parse_reference(const Collection& collection, const std::string& text) {
  Reference reference;
  if (text.starts_with('#') && parse_number(std::string_view(text).substr(1), reference.chunk_id))
    return reference;
  reference.chunk_id = -1;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || collection.find_document(text)) {
    reference.path = text;
  } else if (!parse_range(std::string_view(text).substr(colon + 1), reference)) {
    throw Error(ErrorCode::kInvalidArgument,
                text +
                    ": the end should be a line or a range, such as :3-9, or a page, "
                    "such as :p4");
  } else {
    reference.path = text.substr(0, colon);
  }
  return reference;
}

std::string lines_of(const std::string& text, int first, int last) {
  size_t begin = 0;
  for (int line = 1; line < first; ++line) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return "";
    ++begin;
  }
  size_t end = begin;
  for (int line = first; line <= last && end < text.size(); ++line) {
    end = text.find('\n', end);
    end = end == std::string::npos ? text.size() : end + 1;
  }
  return text.substr(begin, end - begin);
}

// The chunks that stand on the pages, from the first byte of the first to the last of the last.
std::string pages_of(const Collection& collection, const DocumentInfo& document, const std::string& text,
                     const Reference& reference) {
  uint64_t begin = text.size(), end = 0;
  for (const Passage& passage : collection.passages(document.id, 0, document.n_chunks)) {
    if (passage.chunk.last_page < reference.first || passage.chunk.first_page > reference.last) continue;
    begin = std::min(begin, passage.chunk.begin);
    end = std::max(end, passage.chunk.end);
  }
  return begin < end ? text.substr(begin, end - begin) : "";
}

int read(Program& program, const std::vector<std::string>& arguments) {
  Output& out = program.output();
  const auto [folder, wanted] = split_arguments(arguments);
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
    if (reference.is_page) {
      text = pages_of(*collection, *document, text, reference);
    } else if (reference.first > 0) {
      text = lines_of(text, reference.first, reference.last);
    }
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
      ->expected(1, 2);
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, arguments] { return read(program, *arguments); });
}

}  // namespace lectern::cli
