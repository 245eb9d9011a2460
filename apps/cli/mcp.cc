// lectern mcp: the Model Context Protocol on stdin and stdout.
#include <unistd.h>

#include "apps/cli/command.h"
#include "apps/cli/number_options.h"
#include "apps/cli/serving.h"
#include "apps/mcp/stdio.h"
#include "apps/server/mcp_tools.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

struct Options {
  std::vector<std::string> folders;
  double idle_minutes = 15;
  bool no_index = false;
};

// Says on stderr what is served: stdout belongs to the protocol.
void say_what_is_served(Program& program, const server::Service& service) {
  Output& out = program.output();
  warn_of_what_is_missing(program, service, "only the tool ask needs it");
  if (service.collections().empty()) out.note("no folder is served; name one: lectern mcp FOLDER");
  out.note("serving " + plural(static_cast<int64_t>(service.collections().size()), "collection") +
           " to an MCP client on stdin and stdout; it ends with the input");
}

int mcp(Program& program, const Options& options) {
  server::Service service(options.folders, served_models(program, options.idle_minutes),
                          server::Service::Uploads::kNone);
  say_what_is_served(program, service);
  if (!options.no_index) {
    for (const auto& collection : service.collections())
      if (!collection->folders.empty()) service.index(collection);
  }
  server::ServiceTools tools(service);
  const lectern::mcp::Protocol protocol(tools, LECTERN_VERSION);
  lectern::mcp::serve_stdio(protocol, STDIN_FILENO, STDOUT_FILENO, {}, program.cancel,
                            [&service] { service.models().unload_idle(); });
  return kExitFound;
}

}  // namespace

void register_mcp(CLI::App& app, Program& program) {
  CLI::App* command =
      add_command(app, "mcp", "Offer folders to an AI client as tools, over stdin and stdout (MCP)",
                  "  lectern mcp notes\n"
                  "  echo '{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"ping\"}' | lectern mcp notes\n");
  auto options = std::make_shared<Options>();
  command->add_option("FOLDER", options->folders, "Folders to offer (default: all that are indexed)");
  command->add_option("--idle-minutes", options->idle_minutes, "A model unused for so long is unloaded")
      ->check(number_in(0, 1e6))
      ->capture_default_str();
  command->add_flag("--no-index", options->no_index, "Offer what is indexed, without looking for changes");
  command->add_flag("-q,--quiet", program.options.quiet, "No notes on stderr; warnings and errors stay");
  add_model_options(command, program.options);
  add_helper_option(command, program.options);
  program.on_run(command, [&program, options] { return mcp(program, *options); });
}

}  // namespace lectern::cli
