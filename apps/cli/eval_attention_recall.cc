// lectern eval attention-recall: what sparse prefill keeps of the attention, and how much it reads for that,
// on a text of one's own; and the budgets of columns and diagonals that keep enough of it.
#include <algorithm>
#include <climits>
#include <functional>
#include <map>

#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/scratch_folder.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/engine.h"
#include "engine/sparse_attention_config.h"
#include "models/registry.h"

namespace lectern::cli {
namespace {

struct RecallOptions {
  std::string text;
  int tokens = 8192;
  int above = 4096;
  std::vector<double> thresholds = {0.02, 0.05, 0.1, 0.2};
  std::string refine;
  double bound = 0.95;
  int rounds = 20;
};

// Where refining begins: what most heads of the published 1M models have. And its steps, theirs as well.
constexpr VerticalSlashBudget kFirstBudget{1000, 6096};
constexpr int kStep = 2048;

enum class Selector { kNone, kPageMeans, kVerticalSlash };  // kNone: everything is read

struct Reading {
  struct Head {
    double recall = 0;  // sum over the pieces
    int n_pieces = 0;
    double worst_recall = 1;  // of the pieces
  };
  Selector selector = Selector::kNone;
  double threshold = 0;  // of the means of pages
  double seconds = 0;
  double mean_recall = 0, mean_read = 0;  // over layers, KV heads and pieces
  double worst_recall = 1;                // mean over the pieces of the worst layer and KV head
  int worst_layer = 0, worst_kv_head = 0;
  std::map<std::pair<int, int>, Head> heads;  // by layer and KV head
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

void summarise(Reading& reading) {
  int n = 0;
  for (const auto& [at, head] : reading.heads) {
    n += head.n_pieces;
    if (const double recall = head.recall / head.n_pieces; recall < reading.worst_recall) {
      reading.worst_recall = recall;
      reading.worst_layer = at.first;
      reading.worst_kv_head = at.second;
    }
  }
  reading.mean_recall = n == 0 ? 1 : reading.mean_recall / n;
  reading.mean_read = n == 0 ? 1 : reading.mean_read / n;
}

// Reads the text with nothing but `sparse` of the settings; never falls back to all pages.
Reading read_text(Program& program, const RecallOptions& options, const std::string& sparse_config,
                  SparsePrefill sparse) {
  BackendOptions backend = backend_options(program, options.tokens + 1);
  sparse.least_recall = 0;
  backend.sparse_prefill = sparse;
  const auto engine =
      Engine::load(resolve_model(model_name(program)), {.backend = backend,
                                                        .extension = context_extension(program),
                                                        .device = device(program),
                                                        .sparse_config = sparse_config});
  Reading result;
  engine->backend().set_sparse_tap([&](const SparseReading& reading) {
    Reading::Head& head = result.heads[{reading.layer, reading.kv_head}];
    head.recall += reading.recall;
    head.worst_recall = std::min(head.worst_recall, reading.recall);
    ++head.n_pieces;
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
  summarise(result);
  return result;
}

Reading read_densely(Program& program, const RecallOptions& options) {
  return read_text(program, options, program.options.sparse_config, {.above_tokens = INT_MAX});
}

Reading read_by_means(Program& program, const RecallOptions& options, double threshold) {
  Reading reading = read_text(
      program, options, program.options.sparse_config,
      {.above_tokens = options.above, .threshold = static_cast<float>(threshold), .vertical_slash = false});
  reading.selector = Selector::kPageMeans;
  reading.threshold = threshold;
  return reading;
}

Reading read_by_budgets(Program& program, const RecallOptions& options, const std::string& sparse_config) {
  Reading reading = read_text(program, options, sparse_config, {.above_tokens = options.above});
  reading.selector = Selector::kVerticalSlash;
  return reading;
}

std::string line_of(const Reading& reading) {
  if (reading.selector == Selector::kNone) return "dense: " + format_seconds(reading.seconds);
  char name[40] = "columns and diagonals", line[200];
  if (reading.selector == Selector::kPageMeans)
    std::snprintf(name, sizeof(name), "threshold %.3f", reading.threshold);
  std::snprintf(line, sizeof(line),
                "%s: recall %.4f (worst %.4f, layer %d, KV head %d), %.1f %% of the pages read, ", name,
                reading.mean_recall, reading.worst_recall, reading.worst_layer, reading.worst_kv_head,
                100 * reading.mean_read);
  return line + format_seconds(reading.seconds);
}

Json json_of(const Reading& reading) {
  const bool by_means = reading.selector == Selector::kPageMeans;
  Json json = {{"selector", by_means ? "page-means" : "vertical-slash"}};
  if (by_means) json["threshold"] = reading.threshold;
  json["mean_recall"] = reading.mean_recall;
  json["worst_recall"] = reading.worst_recall;
  json["worst_layer"] = reading.worst_layer;
  json["worst_kv_head"] = reading.worst_kv_head;
  json["read"] = reading.mean_read;
  json["seconds"] = reading.seconds;
  return json;
}

Json result_of(const Program& program, const RecallOptions& options) {
  Json result = json_result("eval.attention_recall");
  result["model"] = model_name(program);
  result["tokens"] = options.tokens;
  result["above"] = options.above;
  return result;
}

int measure(Program& program, const RecallOptions& options) {
  Output& out = program.output();
  using Read = std::function<Reading()>;
  std::vector<Read> reads = {[&] { return read_densely(program, options); }};
  for (const double threshold : options.thresholds)
    reads.push_back([&, threshold] { return read_by_means(program, options, threshold); });
  if (!open_model_file(program)->config().sparse_attention.empty())
    reads.push_back([&] { return read_by_budgets(program, options, program.options.sparse_config); });
  std::vector<Reading> readings;  // the dense one first
  Measurement measurement(program);
  measurement.each("reading", reads, [&](const Read& read) { readings.push_back(read()); });
  if (!out.json()) {
    for (const Reading& reading : readings) out.print_line(line_of(reading));
    return measurement.end();
  }
  Json result = result_of(program, options);
  result["readings"] = Json::array();
  for (const Reading& reading : readings) {
    if (reading.selector == Selector::kNone) {
      result["dense_seconds"] = reading.seconds;
    } else {
      result["readings"].push_back(json_of(reading));
    }
  }
  measurement.mark(result);
  out.print_json(result);
  return measurement.end();
}

// Adds to the budgets of the groups of query heads whose recall is below the bound somewhere, as far as there
// is more to read. Returns how many groups are below it.
int raise(SparseAttention& budgets, const Reading& reading, int group, double bound) {
  int n_below = 0;
  for (const auto& [at, head] : reading.heads) {
    if (head.worst_recall >= bound) continue;
    ++n_below;
    auto& layer = budgets[static_cast<size_t>(at.first)];
    for (int g = 0; g < group; ++g) {
      VerticalSlashBudget& budget = layer[static_cast<size_t>(at.second * group + g)];
      budget.vertical += kStep;
      budget.slash += kStep;
    }
  }
  return n_below;
}

// Nothing of the model may be overwritten but the budgets in its folder.
void check_refined_file(const Program& program, const RecallOptions& options) {
  std::vector<Input> inputs = {{"--text", options.text}};
  const std::filesystem::path model = resolve_model(model_name(program));
  if (std::filesystem::is_directory(model)) {
    for (const auto& entry : std::filesystem::directory_iterator(model))
      if (entry.path().filename() != kSparseAttentionFile) inputs.push_back({"--model", entry.path()});
  } else {
    inputs.push_back({"--model", model});
  }
  check_output("--refine", options.refine, inputs);
}

// Raises budgets until the text keeps enough of its attention; what is in the file was measured.
int refine(Program& program, const RecallOptions& options) {
  Output& out = program.output();
  check_refined_file(program, options);
  const Qwen2Config config = open_model_file(program)->config();
  SparseAttention budgets = config.sparse_attention;
  if (budgets.empty())
    budgets.assign(
        static_cast<size_t>(config.num_hidden_layers),
        std::vector<VerticalSlashBudget>(static_cast<size_t>(config.num_attention_heads), kFirstBudget));
  const ScratchFolder scratch;  // for the budgets of a round while they are measured
  const std::filesystem::path measured = scratch.path / kSparseAttentionFile;
  Measurement measurement(program);
  Json rounds = Json::array();
  int n_below = 1;
  const auto next_round = [&] {
    const std::string text = sparse_attention_json(budgets, options.bound);
    write_file_atomically(measured, text);
    const Reading reading = read_by_budgets(program, options, measured);
    write_file_atomically(options.refine, text);
    n_below = raise(budgets, reading, config.group_size(), options.bound);
    rounds.push_back(json_of(reading));
    rounds.back()["groups_below"] = n_below;
    if (out.json()) return;
    out.end_progress();
    out.print_line("round " + std::to_string(rounds.size()) + ", " + line_of(reading) + ", " +
                   std::to_string(n_below) + " groups of heads below the bound");
  };
  const ProgressFn progress = out.progress();
  for (int round = 0; round < options.rounds && n_below > 0; ++round) {
    if (progress)
      progress({.stage = "refining",
                .item = options.text,
                .items_done = static_cast<uint64_t>(round),
                .items_total = static_cast<uint64_t>(options.rounds)});
    if (!measurement.part(next_round)) break;
  }
  out.end_progress();
  if (!out.json()) {
    if (!rounds.empty())
      out.print_line(n_below == 0
                         ? options.refine + ": the bound holds"
                         : options.refine + ": the bound does not hold yet; go on with --sparse-config " +
                               options.refine);
    return measurement.end();
  }
  Json result = result_of(program, options);
  result["bound"] = options.bound;
  result["file"] = options.refine;
  result["rounds"] = rounds;
  measurement.mark(result);
  out.print_json(result);
  return measurement.end();
}

int eval_attention_recall(Program& program, const RecallOptions& options) {
  if (options.above >= options.tokens)
    throw Error(ErrorCode::kInvalidArgument,
                "--above must be less than --tokens: nothing would be read sparsely");
  if (program.options.dense)
    throw Error(ErrorCode::kInvalidArgument,
                "--dense reads nothing sparsely: leave it out, the text is read in full first anyway");
  return options.refine.empty() ? measure(program, options) : refine(program, options);
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
  CLI::Option* thresholds = command
                                ->add_option("--thresholds", options->thresholds,
                                             "Shares of the best page's attention from which a page is read")
                                ->delimiter(',')
                                ->check(number_in(0, 1))
                                ->capture_default_str();
  CLI::Option* refine = command->add_option(
      "--refine", options->refine,
      "Write budgets of columns and diagonals (a sparse_attention_config.json) that keep enough "
      "of this text's attention, raised from those of --sparse-config or of the model, else "
      "from 1000 and 6096");
  refine->excludes(thresholds);
  command
      ->add_option("--bound", options->bound, "--refine: the share of the attention to keep in every piece")
      ->needs(refine)
      ->check(number_in(0, 1))
      ->capture_default_str();
  command->add_option("--rounds", options->rounds, "--refine: at most so many readings of the text")
      ->needs(refine)
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return eval_attention_recall(program, *options); });
}

}  // namespace lectern::cli
