// lectern eval perplexity: how well a model predicts a text, cut into windows as
// tools/reference_perplexity.py cuts it for llama.cpp.
#include <algorithm>
#include <cmath>
#include <map>

#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/e4m3_simulation.h"
#include "engine/engine.h"

namespace lectern::cli {
namespace {

struct PerplexityOptions {
  std::string text;
  int window = 512;
  std::string simulate;
};

const std::map<std::string, E4m3Simulation> kSimulations = {
    {"f32", E4m3Simulation::kNone},
    {"e4m3", E4m3Simulation::kWeights},
    {"e4m3+activations", E4m3Simulation::kWeightsAndActivations}};

std::unique_ptr<Engine> load_engine(Program& program, const PerplexityOptions& options) {
  if (options.simulate.empty()) return load_model(program, options.window);
  if (program.options.device.starts_with("cuda"))
    throw Error(ErrorCode::kInvalidArgument,
                "--simulate-weights computes on the CPU; leave out --device cuda");
  const auto model = open_model_file(program);
  auto backend = make_e4m3_simulation(model, kSimulations.at(options.simulate),
                                      backend_options(program, options.window), program.output().progress());
  program.output().end_progress();
  return Engine::load(model, std::move(backend), {});
}

int eval_perplexity(Program& program, const PerplexityOptions& options) {
  if (options.window < 2) throw Error(ErrorCode::kInvalidArgument, "--window takes 2 tokens or more");
  Output& out = program.output();
  constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
  const std::string text = read_file(options.text, kMaxBytes);
  const auto engine = load_engine(program, options);
  const std::vector<int32_t> tokens = engine->tokenizer().encode(text);
  const auto window = static_cast<size_t>(options.window);
  const ProgressFn progress = out.progress();
  double log_probability = 0;
  int n_predicted = 0;
  const Stopwatch time;
  for (size_t begin = 0; begin < tokens.size(); begin += window) {
    const auto first = tokens.begin() + static_cast<ptrdiff_t>(begin);
    const auto last = tokens.begin() + static_cast<ptrdiff_t>(std::min(tokens.size(), begin + window));
    const ScoreItem item[] = {{{*first}, {first + 1, last}}};
    const auto scores = engine->score(item, program.cancel);
    log_probability += scores[0].log_probability;
    n_predicted += scores[0].n_tokens;
    if (progress) {
      progress({.stage = "reading",
                .item = options.text,
                .items_done = static_cast<uint64_t>(last - tokens.begin()),
                .items_total = tokens.size()});
    }
  }
  if (n_predicted == 0) {
    throw Error(ErrorCode::kInvalidArgument, options.text + ": has fewer than two tokens to predict");
  }
  const double perplexity = std::exp(-log_probability / n_predicted);
  if (out.json()) {
    Json result = json_result("eval.perplexity");
    result["model"] = engine->config().name;
    result["tokens"] = tokens.size();
    result["predicted"] = n_predicted;
    result["window"] = options.window;
    if (!options.simulate.empty()) result["simulated_weights"] = options.simulate;
    result["kv_bytes_per_token"] = engine->backend().kv_bytes_per_token();
    result["perplexity"] = perplexity;
    result["seconds"] = time.seconds();
    out.print_json(result);
  } else {
    out.print_line("perplexity " + std::to_string(perplexity) + " over " + std::to_string(n_predicted) +
                   " tokens in windows of " + std::to_string(options.window) + ", " +
                   format_seconds(time.seconds()));
  }
  return kExitFound;
}

}  // namespace

void register_eval_perplexity(CLI::App& eval, Program& program) {
  CLI::App* command = add_command(eval, "perplexity", "Measure how well the model predicts a text",
                                  "  lectern eval perplexity --text notes/trips/clock-tower.md --model "
                                  "qwen2.5-coder-0.5b-instruct --json\n");
  const auto options = std::make_shared<PerplexityOptions>();
  command->add_option("--text", options->text, "File of UTF-8 text")->required();
  command->add_option("--window", options->window, "Tokens that the model sees at a time")
      ->capture_default_str();
  command
      ->add_option("--simulate-weights", options->simulate,
                   "What 8-bit floats on a GPU (--fp8) would cost, computed on the CPU: e4m3, "
                   "e4m3+activations, or f32 to compare with")
      ->check(CLI::IsMember(kSimulations));
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return eval_perplexity(program, *options); });
}

}  // namespace lectern::cli
