// How a command joins the program. One file a command: it defines `void register_NAME(CLI::App& parent,
// Program&)`, declared below and called from commands.cc; that function adds the sub-command with its options
// and its examples, and hands its body to Program::on_run. The body returns an exit code (ExitCode,
// output.h), throws lectern::Error for what fails, and prints through Program::output() only.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "apps/cli/options.h"
#include "apps/cli/output.h"
#include "base/cancel.h"

namespace lectern::cli {

class Program {
 public:
  SharedOptions options;  // as given by flags; completed from environment and files before the body runs
  CancelToken cancel;     // set by Ctrl-C and SIGTERM
  // While set, Ctrl-C stops only what this token belongs to, such as one answer of a chat.
  std::atomic<const CancelToken*> interruptible{nullptr};

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

// Adds a sub-command; `examples` end its help: lines of "  lectern ..." that work in the folder examples/,
// where tests/cli/examples_test.cc runs them.
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
void register_serve(CLI::App& app, Program& program);
void register_mcp(CLI::App& app, Program& program);
void register_completion(CLI::App& app, Program& program);
void register_manual(CLI::App& app, Program& program);
void register_bench_engine(CLI::App& bench, Program& program);

void register_eval_qa(CLI::App& eval, Program& program);
void register_eval_attention_recall(CLI::App& eval, Program& program);
void register_eval_folder(CLI::App& eval, Program& program);
void register_eval_multihop(CLI::App& eval, Program& program);
void register_eval_injection(CLI::App& eval, Program& program);
void register_eval_needle(CLI::App& eval, Program& program);
void register_eval_devices(CLI::App& eval, Program& program);
void register_eval_perplexity(CLI::App& eval, Program& program);
void register_eval_rank(CLI::App& eval, Program& program);
void register_eval_ruler(CLI::App& eval, Program& program);
void register_eval_search(CLI::App& eval, Program& program);

void register_bench_search(CLI::App& bench, Program& program);
void register_bench_soak(CLI::App& bench, Program& program);

}  // namespace lectern::cli
