// The wall where errors end: one line on stderr and a documented exit code.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>

#include <unistd.h>

#include "apps/cli/command.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

CancelToken* interrupt_token = nullptr;  // for the signal handler; set once before it is installed

void on_interrupt(int) {
  // The second Ctrl-C ends at once; the database survives that as it survives a power cut.
  if (interrupt_token->cancelled()) ::_exit(kExitInterrupted);
  interrupt_token->cancel();
}

void install_signal_handlers(CancelToken& token) {
  interrupt_token = &token;
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a blocked read returns
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, handled where we write
  std::signal(SIGXFSZ, SIG_IGN);  // so is a file that may not grow
}

int run_guarded(Program& program) {
  const auto fail = [&program](const std::string& message) {
    program.end_progress();
    std::fprintf(stderr, "lectern: error: %s\n", printable(message).c_str());
    return kExitFailure;
  };
  try {
    return program.run();
  } catch (const OutputClosed&) {
    return kExitFound;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCancelled) return fail(error.what());
    program.end_progress();
    std::fprintf(stderr, "lectern: interrupted\n");
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    return fail("out of memory; close other programs, or use a smaller model or context");
  } catch (const std::exception& error) {
    return fail(std::string("internal error, please report it: ") + error.what());
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
  install_signal_handlers(program.cancel);

  CLI::App app("Ask your documents: a small local model reads them and answers with citations.", "lectern");
  app.set_version_flag("--version", "lectern " LECTERN_VERSION);
  app.require_subcommand(1);
  app.footer("Exit codes: 0 found or done, 1 nothing found, 2 wrong usage or failure, 130 interrupted.");
  register_commands(app, program);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::fprintf(stderr, "lectern: error: %s (see lectern --help)\n", printable(error.what()).c_str());
    return kExitFailure;
  }
  return run_guarded(program);
}

}  // namespace lectern::cli

int main(int argc, char** argv) {
  return lectern::cli::main(argc, argv);
}
