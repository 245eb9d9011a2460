// The list of commands, in the order of the help text.
#include "apps/cli/command.h"

namespace lectern::cli {

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, description);
  if (!examples.empty()) command->footer("Examples, to be run in the folder examples/:\n" + examples);
  return command;
}

void register_commands(CLI::App& app, Program& program) {
  register_ask(app, program);
  register_chat(app, program);
  register_search(app, program);
  register_read(app, program);
  register_index(app, program);
  register_status(app, program);
  register_rm(app, program);
  register_models(app, program);
  register_pull(app, program);
  register_doctor(app, program);
  register_serve(app, program);
  register_mcp(app, program);
  register_completion(app, program);
  register_manual(app, program);

  CLI::App* eval = add_command(app, "eval", "Measure answers, search and the model",
                               "  lectern eval search --data squad/en.json\n");
  eval->require_subcommand(1);
  register_eval_qa(*eval, program);
  register_eval_folder(*eval, program);
  register_eval_attention_recall(*eval, program);
  register_eval_multihop(*eval, program);
  register_eval_injection(*eval, program);
  register_eval_needle(*eval, program);
  register_eval_perplexity(*eval, program);
  register_eval_devices(*eval, program);
  register_eval_rank(*eval, program);
  register_eval_ruler(*eval, program);
  register_eval_search(*eval, program);

  CLI::App* bench = add_command(app, "bench", "Measure speed",
                                "  lectern bench engine --model qwen2.5-coder-0.5b-instruct\n");
  bench->require_subcommand(1);
  register_bench_engine(*bench, program);
  register_bench_search(*bench, program);
  register_bench_soak(*bench, program);
}

}  // namespace lectern::cli
