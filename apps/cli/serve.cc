// lectern serve
#include <mutex>

#include "apps/cli/command.h"
#include "apps/cli/number_options.h"
#include "apps/cli/serving.h"
#include "apps/server/server.h"
#include "base/error.h"
#include "base/files.h"

namespace lectern::cli {
namespace {

constexpr uint64_t kMaxKeyBytes = 4 << 10;
constexpr size_t kMinKeyBytes = 16;

struct Options {
  std::vector<std::string> folders;
  std::string host = "127.0.0.1", unix_path, key_file;
  int port = 8642;
  double idle_minutes = 15;
  double model_memory_gb = 0;
  bool no_index = false;
  bool log = false;
};

std::string read_key(const std::string& path) {
  if (path.empty()) return {};
  std::string key = read_file(path, kMaxKeyBytes);
  const size_t end = key.find_last_not_of(" \t\r\n");
  key.resize(end == std::string::npos ? 0 : end + 1);
  if (key.size() < kMinKeyBytes || key.find_first_of(" \t\r\n") != std::string::npos)
    throw Error(ErrorCode::kInvalidArgument, path + ": a key is one word of at least " +
                                                 std::to_string(kMinKeyBytes) +
                                                 " characters, such as: openssl rand -hex 24");
  return key;
}

int serve(Program& program, const Options& options) {
  Output& out = program.output();
  server::ServerOptions server_options{.folders = options.folders,
                                       .listening = {options.host, options.port, options.unix_path},
                                       .api_key = read_key(options.key_file),
                                       .models = served_models(program, options.idle_minutes),
                                       .limits = {},
                                       .version = LECTERN_VERSION,
                                       .index_at_start = !options.no_index,
                                       .log = {}};
  server_options.models.max_bytes = static_cast<uint64_t>(options.model_memory_gb * 1e9);
  std::mutex mutex;  // requests end on threads of their own
  if (options.log) {
    server_options.log = [&out, &mutex](const std::string& line) {
      const std::lock_guard lock(mutex);
      out.log_line(line);
    };
  }
  server::Server server(std::move(server_options));
  warn_of_what_is_missing(program, server.service(), "searches need no model");
  if (server.service().collections().empty()) out.note("no folder is served; name one: lectern serve FOLDER");
  if (out.json()) {
    Json result = json_result("serve");
    result["url"] = server.url();
    out.print_json(result);
  } else {
    out.print_line("listening on " + server.url());
  }
  server.run(program.cancel);
  out.note("stopped");
  return kExitFound;
}

}  // namespace

void register_serve(CLI::App& app, Program& program) {
  CLI::App* command =
      add_command(app, "serve", "Serve folders over HTTP: a page, search, questions, OpenAI's API",
                  "  lectern serve notes\n"
                  "  lectern serve notes --port 0 --json\n");
  auto options = std::make_shared<Options>();
  command->add_option("FOLDER", options->folders, "Folders to serve (default: all that are indexed)");
  command->add_option("--host", options->host, "Address to listen on; others than the loopback need a key")
      ->capture_default_str();
  command->add_option("--port", options->port, "Port; 0: a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--unix", options->unix_path, "Listen on this UNIX socket instead");
  command->add_option("--api-key-file", options->key_file, "File that holds the key every request must show");
  command->add_option("--idle-minutes", options->idle_minutes, "A model unused for so long is unloaded")
      ->check(number_in(0, 1e6))
      ->capture_default_str();
  command
      ->add_option("--model-memory", options->model_memory_gb,
                   "GB that the files of all loaded models may have; 0: three quarters of the memory")
      ->check(number_in(0, 1e6))
      ->capture_default_str();
  command->add_flag("--no-index", options->no_index, "Serve what is indexed, without looking for changes");
  command->add_flag("--log", options->log,
                    "A line of JSON on stderr for every request, without what it asked");
  add_model_options(command, program.options);
  add_helper_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return serve(program, *options); });
}

}  // namespace lectern::cli
