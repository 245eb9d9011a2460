// The wall where errors end: one line on stderr and a documented exit code.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>

#include <unistd.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/usage.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

Program* interrupted_program = nullptr;  // for the signal handler; set once before it is installed

void on_interrupt(int signal) {
  const CancelToken& all = interrupted_program->cancel;
  const CancelToken* part = interrupted_program->interruptible;
  // The second Ctrl-C ends at once; the database survives that as it survives a power cut.
  if (all.cancelled() || (part != nullptr && part->cancelled())) ::_exit(kExitInterrupted);
  if (part != nullptr) part->cancel();
  if (part == nullptr || signal != SIGINT) all.cancel();
}

void install_signal_handlers(Program& program) {
  interrupted_program = &program;
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a blocked read returns
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, handled where we write
  std::signal(SIGXFSZ, SIG_IGN);  // so is a file that may not grow
}

int run_guarded(Program& program) {
  const auto fail = [&program](std::string_view code, const std::string& message) {
    program.end_progress();
    report_error(program.options.json, code, message, kExitFailure);
    return kExitFailure;
  };
  try {
    return program.run();
  } catch (const OutputClosed&) {
    return kExitFound;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCancelled) return fail(to_string(error.code()), error.what());
    program.end_progress();
    report_error(program.options.json, to_string(error.code()), "interrupted", kExitInterrupted);
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    return fail(to_string(ErrorCode::kResourceExhausted),
                "out of memory; close other programs, or use a smaller model or context");
  } catch (const std::exception& error) {
    return fail("internal error", std::string("internal error, please report it: ") + error.what());
  }
}

}  // namespace

int Program::run() {
  complete_options(options);
  output_ = std::make_unique<Output>(options.json, options.quiet);
  const int code = body_();
  output_->end_progress();
  return code;
}

void Program::end_progress() {
  if (output_) output_->end_progress();
}

int main(int argc, char** argv) {
  Program program;
  install_signal_handlers(program);

  CLI::App app("Ask your documents: a small local model reads them and answers with citations.", "lectern");
  app.set_version_flag("--version", "lectern " LECTERN_VERSION);
  app.require_subcommand(1);
  app.formatter(help_formatter());
  app.footer("Exit codes: 0 found or done, 1 nothing found, 2 wrong usage or failure, 130 interrupted.");
  register_commands(app, program);
  const std::vector<const char*> words = with_help_as_option(app, {argv, argv + argc});
  try {
    app.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    const auto arguments = std::span(words).subspan(std::min<size_t>(words.size(), 1));
    const bool asks_for_help = error.get_exit_code() == 0;  // or for the version
    if (asks_for_help && !names_unknown_command(app, arguments)) return app.exit(error);
    const bool json = std::any_of(arguments.begin(), arguments.end(),
                                  [](std::string_view argument) { return argument == "--json"; });
    report_error(json, to_string(ErrorCode::kInvalidArgument), explain_usage(app, error, arguments),
                 kExitFailure);
    return kExitFailure;
  }
  return run_guarded(program);
}

}  // namespace lectern::cli

int main(int argc, char** argv) {
  return lectern::cli::main(argc, argv);
}
