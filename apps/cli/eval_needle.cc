// lectern eval needle: does the model find a five-digit pass key that is hidden in running text, at every
// length and depth?
#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>
#include <set>

#include "apps/cli/command.h"
#include "apps/cli/haystack.h"
#include "apps/cli/heat_map.h"
#include "apps/cli/load_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/text_question.h"
#include "apps/cli/work_left.h"
#include "apps/common/printable.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/planner.h"

namespace lectern::cli {
namespace {

constexpr int kMaxAnswerTokens = 24;

struct NeedleOptions {
  std::vector<int> tokens = {2000};
  int depths = 5;
  std::vector<double> depth;  // instead
  int trials = 1;
  uint32_t seed = 1;
  std::string level = "whole";
  std::string svg;
};

// Sums over the trials of one length and depth, or over several of those.
struct Cell {
  int asked = 0, found = 0;
  int64_t prompt_tokens = 0, read_tokens = 0, chunks_read = 0;
  double seconds = 0, cpu_seconds = 0;  // the latter over all threads

  void add(const Cell& other) {
    asked += other.asked;
    found += other.found;
    prompt_tokens += other.prompt_tokens;
    read_tokens += other.read_tokens;
    chunks_read += other.chunks_read;
    seconds += other.seconds;
    cpu_seconds += other.cpu_seconds;
  }
  double mean(int64_t sum) const { return asked > 0 ? static_cast<double>(sum) / asked : 0; }
  double rate() const { return mean(found); }
};

// Of all threads: what a measurement cost whatever else ran beside it.
double process_cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

std::string percent(double depth) {
  return std::to_string(std::lround(100 * depth)) + " %";
}

class NeedleEvaluation {
 public:
  NeedleEvaluation(Program& program, const NeedleOptions& options)
      : program_(program),
        options_(options),
        whole_(options.level == "whole"),
        lengths_(sorted(options.tokens)),
        depths_(options.depth.empty() ? even_depths(options.depths) : sorted(options.depth)),
        cells_(lengths_.size() * depths_.size()) {
    check_output("--svg", options.svg, with_shared_inputs(program, {}));
    write_picture();  // that it cannot be written is better known now
    engine_ = load_reader(program, whole_, lengths_.back(), kMaxAnswerTokens);
  }

  int run() {
    measure();
    print();
    return measurement_.end();
  }

 private:
  void measure() {
    std::vector<Asking> askings = in_order();
    double total = 0;
    for (const Asking& asking : askings) total += asking.work;
    WorkLeft left(total);
    size_t n_done = 0;
    for (const Asking& asking : askings) {
      if (!measurement_.part([&] { ask(asking); })) return;
      left.did(asking.work);
      program_.output().note(said_ + "; " + std::to_string(++n_done) + " of " +
                             std::to_string(askings.size()) + left.text());
      write_picture();
    }
  }

  void print() const {
    Output& out = program_.output();
    if (out.json()) return out.print_json(json());
    const Cell all = sum(0, cells_.size());
    out.print_line("found " + std::to_string(all.found) + " of " + std::to_string(all.asked) +
                   " pass keys, " + format_seconds(all.seconds));
    for (size_t row = 0; row < lengths_.size(); ++row) {
      const Cell length = of_length(row);
      out.print_line(std::to_string(lengths_[row]) + " tokens: " + std::to_string(length.found) + " of " +
                     std::to_string(length.asked) + ", " + format_seconds(length.seconds));
      for (size_t d = 0; d < depths_.size(); ++d) {
        const Cell& cell = cells_[row * depths_.size() + d];
        if (cell.asked == 0) continue;
        out.print_line("  depth " + percent(depths_[d]) + ": " + std::to_string(cell.found) + " of " +
                       std::to_string(cell.asked));
      }
    }
  }

  // One prompt to come.
  struct Asking {
    size_t text;    // of texts_
    size_t depth;   // of depths_
    size_t length;  // of lengths_
    double work;
  };

  template <typename T>
  static std::vector<T> sorted(const std::vector<T>& values) {
    const std::set<T> set(values.begin(), values.end());
    return {set.begin(), set.end()};
  }

  static std::vector<double> even_depths(int n) {
    if (n == 1) return {0.5};
    std::vector<double> depths;
    for (int i = 0; i < n; ++i) depths.push_back(static_cast<double>(i) / (n - 1));
    return depths;
  }

  // Makes the texts. Those of a trial begin alike up to their needles, so they are asked from the last needle
  // to the first: each prompt then goes on from where the one before it, whose KV is at hand, left the common
  // text, and no token is read twice that could be known.
  std::vector<Asking> in_order() {
    const auto count = [&](std::string_view text) {
      return static_cast<int>(engine_->tokenizer().encode(std::string(text)).size());
    };
    const ChatMessage nothing[] = {{.role = Role::kUser, .content = ""}};
    const auto around = static_cast<int>(engine_->chat_template().render(nothing).size());
    const ContextCosts costs = context_costs(engine_->model_file());
    std::vector<Asking> askings;
    for (int trial = 0; trial < options_.trials; ++trial) {
      const size_t first_text = texts_.size(), first_asking = askings.size();
      for (const int n : lengths_)
        texts_.emplace_back(count, n - around, options_.seed + static_cast<uint32_t>(trial));
      for (size_t length = 0; length < lengths_.size(); ++length) {
        for (size_t depth = 0; depth < depths_.size(); ++depth) {
          const int n = lengths_[length];
          const double known = reading_work(costs, std::lround(n * depths_[depth]));
          askings.push_back({first_text + length, depth, length, reading_work(costs, n) - known});
        }
      }
      const auto begin = askings.begin() + static_cast<std::ptrdiff_t>(first_asking);
      std::stable_sort(begin, askings.end(), [&](const Asking& a, const Asking& b) {
        return texts_[a.text].place(depths_[a.depth]) > texts_[b.text].place(depths_[b.depth]);
      });
      begin->work = reading_work(costs, lengths_[begin->length]);  // the first finds nothing known
    }
    if (!whole_)
      for (Asking& asking : askings) asking.work = lengths_[asking.length];
    return askings;
  }

  void ask(const Asking& asking) {
    const Haystack& text = texts_[asking.text];
    const double depth = depths_[asking.depth];
    const Stopwatch time;
    const double cpu_time = process_cpu_seconds();
    const TextReply reply =
        whole_ ? read_whole(*engine_, text.prompt(depth), {}, kMaxAnswerTokens, program_.cancel)
               : ask_agent(*engine_, *parse_level(options_.level), model_name(program_), text.text(depth),
                           std::string(Haystack::question()), program_.cancel);
    const bool found = text.is_found(reply.text);
    const Cell one{.asked = 1,
                   .found = found ? 1 : 0,
                   .prompt_tokens = reply.prompt_tokens,
                   .read_tokens = reply.read_tokens,
                   .chunks_read = reply.chunks_read,
                   .seconds = time.seconds(),
                   .cpu_seconds = process_cpu_seconds() - cpu_time};
    cells_[asking.length * depths_.size() + asking.depth].add(one);
    chunks_ = std::max(chunks_, reply.chunks);
    said_ = std::to_string(lengths_[asking.length]) + " tokens, depth " + percent(depth) + ": " +
            (found ? "found" : "not found (\"" + printable(reply.text) + "\")") + ", " +
            format_seconds(one.seconds) + " for " + plural(one.read_tokens, "token");
  }

  Cell sum(size_t begin, size_t end, size_t step = 1) const {
    Cell sum;
    for (size_t i = begin; i < end; i += step) sum.add(cells_[i]);
    return sum;
  }
  Cell of_length(size_t row) const { return sum(row * depths_.size(), (row + 1) * depths_.size()); }
  Cell of_depth(size_t column) const { return sum(column, cells_.size(), depths_.size()); }

  Json json() const {
    const Cell all = sum(0, cells_.size());
    Json result = json_result("eval.needle");
    result["model"] = engine_->config().name;
    result["level"] = options_.level;
    result["extend"] = program_.options.extend;
    result["dense"] = program_.options.dense;
    result["tokens"] = lengths_.back();
    result["mean_prompt_tokens"] = all.mean(all.prompt_tokens);
    if (!whole_) {
      result["chunks"] = chunks_;
      result["mean_chunks_read"] = all.mean(all.chunks_read);
    }
    result["kv_bytes_per_token"] = engine_->backend().kv_bytes_per_token();
    result["n"] = all.asked;
    result["rate"] = all.rate();
    result["by_depth"] = Json::array();
    for (size_t d = 0; d < depths_.size(); ++d) {
      const Cell cell = of_depth(d);
      if (cell.asked > 0) result["by_depth"].push_back({{"depth", depths_[d]}, {"rate", cell.rate()}});
    }
    result["by_length"] = Json::array();
    for (size_t row = 0; row < lengths_.size(); ++row) {
      if (of_length(row).asked > 0) result["by_length"].push_back(length_json(row));
    }
    result["seconds"] = all.seconds;
    result["cpu_seconds"] = all.cpu_seconds;
    measurement_.mark(result);
    return result;
  }

  Json length_json(size_t row) const {
    const Cell length = of_length(row);
    Json by_depth = Json::array();
    for (size_t d = 0; d < depths_.size(); ++d) {
      const Cell& cell = cells_[row * depths_.size() + d];
      if (cell.asked == 0) continue;
      by_depth.push_back({{"depth", depths_[d]},
                          {"n", cell.asked},
                          {"rate", cell.rate()},
                          {"mean_read_tokens", cell.mean(cell.read_tokens)},
                          {"seconds", cell.seconds},
                          {"cpu_seconds", cell.cpu_seconds}});
    }
    return {{"tokens", lengths_[row]},
            {"mean_prompt_tokens", length.mean(length.prompt_tokens)},
            {"n", length.asked},
            {"rate", length.rate()},
            {"by_depth", std::move(by_depth)},
            {"seconds", length.seconds},
            {"cpu_seconds", length.cpu_seconds}};
  }

  void write_picture() const {
    if (options_.svg.empty()) return;
    HeatMap map{
        .title = "Pass keys found by " + model_name(program_),
        .description = "Share of the pass keys found, by the length of the text and how deep they lie",
        .columns_name = "tokens",
        .rows_name = "depth",
        .columns = {},
        .rows = {},
        .values = {}};
    for (const int n : lengths_) map.columns.push_back(std::to_string(n));
    for (size_t d = 0; d < depths_.size(); ++d) {
      map.rows.push_back(percent(depths_[d]));
      for (size_t row = 0; row < lengths_.size(); ++row) {
        const Cell& cell = cells_[row * depths_.size() + d];
        map.values.push_back(cell.asked > 0 ? std::optional(cell.rate()) : std::nullopt);
      }
    }
    write_file_atomically(options_.svg, to_svg(map));
  }

  Program& program_;
  Measurement measurement_{program_};
  const NeedleOptions& options_;
  bool whole_;
  std::vector<int> lengths_;    // ascending
  std::vector<double> depths_;  // ascending
  std::vector<Cell> cells_;     // [lengths, depths]
  std::unique_ptr<Engine> engine_;
  std::vector<Haystack> texts_;
  int chunks_ = 0;  // of the longest text
  std::string said_;
};

}  // namespace

void register_eval_needle(CLI::App& eval, Program& program) {
  CLI::App* command = add_command(
      eval, "needle", "Measure whether the model finds a pass key in a long text",
      "  lectern eval needle --tokens 1000 --depths 3 --model qwen2.5-coder-0.5b-instruct --json\n"
      "  lectern eval needle --tokens 500,1000 --depth 0,0.5,1 --svg /tmp/pass_keys.svg --model "
      "qwen2.5-coder-0.5b-instruct\n");
  const auto options = std::make_shared<NeedleOptions>();
  command->add_option("--tokens", options->tokens, "Lengths of the prompt, such as 1000,2000")
      ->delimiter(',')
      ->check(CLI::Range(200, 1 << 20))
      ->capture_default_str();
  CLI::Option* depths =
      command->add_option("--depths", options->depths, "Number of depths, from the beginning to the end")
          ->check(CLI::Range(1, 100))
          ->capture_default_str();
  command->add_option("--depth", options->depth, "These depths instead, from 0 to 1, such as 0.25,0.5")
      ->delimiter(',')
      ->check(number_in(0, 1))
      ->excludes(depths);
  command->add_option("--trials", options->trials, "Texts and pass keys for each length and depth")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_seed_option(command, options->seed, "Of the texts and pass keys")->capture_default_str();
  add_reader_level(command, options->level);
  command->add_option("--svg", options->svg, "Draw length by depth as a picture into this file");
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return NeedleEvaluation(program, *options).run(); });
}

}  // namespace lectern::cli
