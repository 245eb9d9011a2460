// lectern eval attention-recall: what sparse prefill keeps of the attention, and how much it reads for that,
// on a text of one's own.
#include <algorithm>
#include <climits>
#include <map>

#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/engine.h"
#include "models/registry.h"

namespace lectern::cli {
namespace {

struct RecallOptions {
  std::string text;
  int tokens = 8192;
  int above = 4096;
  std::vector<double> thresholds = {0.02, 0.05, 0.1, 0.2};
};

struct Reading {
  double threshold = 0;
  double seconds = 0;
  double mean_recall = 0, mean_read = 0;  // over layers, KV heads and pieces
  double worst_recall = 1;                // mean over the pieces of the worst layer and KV head
  int worst_layer = 0, worst_kv_head = 0;
};

std::vector<int32_t> first_tokens(const Engine& engine, const RecallOptions& options) {
  constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
  std::vector<int32_t> tokens = engine.tokenizer().encode(read_file(options.text, kMaxBytes));
  if (tokens.size() < static_cast<size_t>(options.tokens))
    throw Error(ErrorCode::kInvalidArgument, options.text + ": has " + std::to_string(tokens.size()) +
                                                 " tokens, fewer than the " + std::to_string(options.tokens) +
                                                 " that --tokens asks for");
  tokens.resize(static_cast<size_t>(options.tokens));
  return tokens;
}

// Without `threshold`: densely.
Reading read_text(Program& program, const RecallOptions& options, std::optional<double> threshold) {
  BackendOptions backend = backend_options(program, options.tokens + 1);
  backend.sparse_prefill.above_tokens = threshold ? options.above : INT_MAX;
  backend.sparse_prefill.threshold = static_cast<float>(threshold.value_or(0));
  backend.sparse_prefill.least_recall = 0;
  const auto engine =
      Engine::load(resolve_model(model_name(program)),
                   {.backend = backend, .extension = context_extension(program), .device = device(program)});
  struct Sums {
    double recall = 0;
    int n = 0;
  };
  std::map<std::pair<int, int>, Sums> heads;  // by layer and KV head
  Reading result;
  engine->backend().set_sparse_tap([&](const SparseReading& reading) {
    Sums& sums = heads[{reading.layer, reading.kv_head}];
    sums.recall += reading.recall;
    ++sums.n;
    result.mean_recall += reading.recall;
    result.mean_read += reading.read;
  });
  GenerateRequest request;
  request.prompt = first_tokens(*engine, options);
  request.max_new_tokens = 1;
  const Stopwatch time;
  engine->generate(request, {}, program.cancel);
  program.cancel.throw_if_cancelled();
  result.seconds = time.seconds();
  result.threshold = threshold.value_or(0);
  int n = 0;
  for (const auto& [at, sums] : heads) {
    n += sums.n;
    if (const double recall = sums.recall / sums.n; recall < result.worst_recall) {
      result.worst_recall = recall;
      result.worst_layer = at.first;
      result.worst_kv_head = at.second;
    }
  }
  result.mean_recall = n == 0 ? 1 : result.mean_recall / n;
  result.mean_read = n == 0 ? 1 : result.mean_read / n;
  return result;
}

int eval_attention_recall(Program& program, const RecallOptions& options) {
  if (options.above >= options.tokens)
    throw Error(ErrorCode::kInvalidArgument,
                "--above must be less than --tokens: nothing would be read sparsely");
  Output& out = program.output();
  const ProgressFn progress = out.progress();
  const uint64_t n = options.thresholds.size() + 1;
  uint64_t done = 0;
  const auto report = [&] {
    if (progress) progress({.stage = "reading", .item = options.text, .items_done = done, .items_total = n});
    ++done;
  };
  report();
  const Reading dense = read_text(program, options, std::nullopt);
  std::vector<Reading> readings;
  for (const double threshold : options.thresholds) {
    report();
    readings.push_back(read_text(program, options, threshold));
  }
  out.end_progress();
  if (!out.json()) {
    out.print_line("dense: " + format_seconds(dense.seconds));
    for (const Reading& reading : readings) {
      char line[200];
      std::snprintf(
          line, sizeof(line),
          "threshold %.3f: recall %.4f (worst %.4f, layer %d, KV head %d), %.1f %% of the pages read, ",
          reading.threshold, reading.mean_recall, reading.worst_recall, reading.worst_layer,
          reading.worst_kv_head, 100 * reading.mean_read);
      out.print_line(line + format_seconds(reading.seconds));
    }
    return kExitFound;
  }
  Json result = json_result("eval.attention_recall");
  result["model"] = model_name(program);
  result["tokens"] = options.tokens;
  result["above"] = options.above;
  result["dense_seconds"] = dense.seconds;
  result["readings"] = Json::array();
  for (const Reading& reading : readings) {
    result["readings"].push_back({{"threshold", reading.threshold},
                                  {"mean_recall", reading.mean_recall},
                                  {"worst_recall", reading.worst_recall},
                                  {"worst_layer", reading.worst_layer},
                                  {"worst_kv_head", reading.worst_kv_head},
                                  {"read", reading.mean_read},
                                  {"seconds", reading.seconds}});
  }
  out.print_json(result);
  return kExitFound;
}

}  // namespace

void register_eval_attention_recall(CLI::App& eval, Program& program) {
  CLI::App* command = add_command(
      eval, "attention-recall",
      "Measure what sparse prefill keeps of the attention, and what it reads for that",
      "  lectern eval attention-recall --text notes/trips/clock-tower.md --tokens 200 --above 100 --model "
      "qwen2.5-coder-0.5b-instruct\n");
  const auto options = std::make_shared<RecallOptions>();
  command->add_option("--text", options->text, "File of UTF-8 text")->required();
  command->add_option("--tokens", options->tokens, "So many tokens of it are read")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("--above", options->above, "Those after so many are read sparsely")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--thresholds", options->thresholds,
                   "Shares of the best page's attention from which a page is read")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return eval_attention_recall(program, *options); });
}

}  // namespace lectern::cli
