// How a command joins the program. One file a command: it defines `void register_NAME(CLI::App& parent,
// Program&)`, declared below and called from commands.cc; that function adds the sub-command with its options
// and its examples, and hands its body to Program::on_run. The body returns an exit code of ExitCode, throws
// lectern::Error for what fails, and prints through Program::output() only.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "apps/cli/options.h"
#include "apps/cli/output.h"
#include "base/cancel.h"

namespace lectern::cli {

enum ExitCode {
  kExitFound = 0,    // done, or something was found
  kExitNothing = 1,  // the search or question found nothing
  kExitFailure = 2,  // wrong usage, or it failed
  kExitInterrupted = 130,
};

class Program {
 public:
  SharedOptions options;  // as given by flags; completed from environment and files before the body runs
  CancelToken cancel;     // set by Ctrl-C

  // Made after the options are parsed; bodies only.
  Output& output() { return *output_; }

  // `body` runs when `command` was chosen, after everything is parsed.
  void on_run(CLI::App* command, std::function<int()> body) {
    command->callback([this, body = std::move(body)] { body_ = body; });
  }

  int run();
  void end_progress();

 private:
  std::unique_ptr<Output> output_;
  std::function<int()> body_;
};

// Adds a sub-command; `examples` (lines of "  lectern ...") end its help.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& examples);

void register_commands(CLI::App& app, Program& program);

// In the order of the help text.
void register_ask(CLI::App& app, Program& program);
void register_chat(CLI::App& app, Program& program);
void register_search(CLI::App& app, Program& program);
void register_read(CLI::App& app, Program& program);
void register_index(CLI::App& app, Program& program);
void register_status(CLI::App& app, Program& program);
void register_rm(CLI::App& app, Program& program);
void register_models(CLI::App& app, Program& program);
void register_pull(CLI::App& app, Program& program);
void register_doctor(CLI::App& app, Program& program);
void register_completion(CLI::App& app, Program& program);
void register_bench_engine(CLI::App& bench, Program& program);

void register_eval_qa(CLI::App& eval, Program& program);
void register_eval_perplexity(CLI::App& eval, Program& program);
void register_eval_search(CLI::App& eval, Program& program);

void register_bench_search(CLI::App& bench, Program& program);

}  // namespace lectern::cli
