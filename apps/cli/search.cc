// lectern search
#include <cstdio>

#include "apps/cli/passages.h"
#include "apps/cli/target.h"
#include "base/clock.h"

namespace lectern::cli {
namespace {

struct Options {
  std::vector<std::string> arguments;
  int limit = 10;
  bool explain = false;
  bool no_index = false;
  bool names = false;
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", value);
  return text;
}

Json hit_json(const SearchHit& hit, bool explain) {
  Json json = to_json(place_of(hit));
  json["chunk"] = hit.passage.chunk_id;
  json["document"] = hit.passage.document_id;
  json["bytes"] = {hit.passage.chunk.begin, hit.passage.chunk.end};
  json["score"] = hit.score;
  json["text"] = hit.passage.text;
  if (explain) {
    json["name"] = hit.name;
    json["terms"] = Json::array();
    for (const TermShare& term : hit.terms)
      json["terms"].push_back(Json{{"term", term.term}, {"score", term.score}});
  }
  return json;
}

void print_hit(Output& out, size_t rank, const SearchHit& hit, bool explain) {
  out.print_line(out.bold(std::to_string(rank) + ". " + describe(place_of(hit))) +
                 out.dim("  #" + std::to_string(hit.passage.chunk_id) + "  " + number(hit.score)));
  out.print(indented(hit.passage.text, 3));
  if (!explain) return;
  std::string shares;
  if (!hit.name.empty()) shares = "  by its name: " + printable(hit.name) + ";";
  for (const TermShare& term : hit.terms) shares += "  " + printable(term.term) + " " + number(term.score);
  out.print_line(out.dim("  " + shares));
}

int search(Program& program, const Options& options) {
  Output& out = program.output();
  const auto [folder, query] = split_arguments(options.arguments, "search", "query");
  require_words(query, "query");
  const Target target = find_target(program, folder);
  const auto collection =
      target.folder.empty() || options.no_index ? open_existing(target) : open_or_create(target);
  if (!options.no_index) bring_up_to_date(program, *collection, target);

  const Stopwatch watch;
  const std::vector<SearchHit> hits = collection->search({.queries = {{query, 1.0}},
                                                          .limit = options.limit,
                                                          .explain = options.explain,
                                                          .sections = true,
                                                          .documents = {},
                                                          .follow_names = options.names});
  const double seconds = watch.seconds();
  if (out.json()) {
    Json result = json_result("search");
    result["query"] = query;
    result["seconds"] = seconds;
    result["hits"] = Json::array();
    for (const SearchHit& hit : hits) result["hits"].push_back(hit_json(hit, options.explain));
    out.print_json(result);
  } else {
    for (size_t i = 0; i < hits.size(); ++i) print_hit(out, i + 1, hits[i], options.explain);
    out.note(hits.empty() ? "nothing found"
                          : plural(static_cast<int64_t>(hits.size()), "passage") + " in " +
                                number(seconds * 1000) + " ms");
  }
  return hits.empty() ? kExitNothing : kExitFound;
}

}  // namespace

void register_search(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "search", "Find passages by their words, without a model",
                                  "  lectern search notes \"runner beans\"\n"
                                  "  lectern search notes 碧螺春 -k 3 --json\n");
  auto options = std::make_shared<Options>();
  command
      ->add_option("arguments", options->arguments, "The folder (default: the one you are in) and the words")
      ->option_text("[FOLDER] WORDS")
      ->required()
      ->expected(1, -1);  // more are refused with a remedy
  command->add_option("-k,--limit", options->limit, "At most so many passages")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--explain", options->explain, "Show each word's share of the score");
  command->add_flag("--names", options->names,
                    "Also bring documents that the words or the passages found name");
  command->add_flag("--no-index", options->no_index, "Search what is indexed, without looking for changes");
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return search(program, *options); });
}

}  // namespace lectern::cli
