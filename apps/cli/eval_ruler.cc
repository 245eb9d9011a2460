// lectern eval ruler: the task families of RULER at several lengths, read whole by the model or put to the
// agent.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>

#include "apps/cli/command.h"
#include "apps/cli/heat_map.h"
#include "apps/cli/load_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/ruler_tasks.h"
#include "apps/cli/text_question.h"
#include "apps/cli/work_left.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/planner.h"

namespace lectern::cli {
namespace {

struct RulerOptions {
  std::vector<std::string> tasks;  // none: all that can be asked
  std::vector<int> tokens = {2000};
  int trials = 5;
  uint32_t seed = 1;
  std::string data;
  std::string level = "whole";
  std::string replies, svg;
};

// Sums over the trials of one task and length, or over several of those.
struct Cell {
  int asked = 0;
  double score = 0, seconds = 0;
  int64_t prompt_tokens = 0;

  void add(const Cell& other) {
    asked += other.asked;
    score += other.score;
    seconds += other.seconds;
    prompt_tokens += other.prompt_tokens;
  }
  double mean(double sum) const { return asked > 0 ? sum / asked : 0; }
};

std::string padded(std::string text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

class RulerEvaluation {
 public:
  RulerEvaluation(Program& program, const RulerOptions& options)
      : program_(program),
        options_(options),
        whole_(options.level == "whole"),
        tasks_(wanted_tasks()),
        lengths_(std::set<int>(options.tokens.begin(), options.tokens.end())),
        cells_(tasks_.size() * lengths_.size()),
        replies_("--replies", options.replies, with_shared_inputs(program, {{"--data", options.data}})) {
    if (!options.data.empty()) data_ = read_squad(options.data);
    check_output("--svg", options.svg,
                 with_shared_inputs(program, {{"--data", options.data}, {"--replies", options.replies}}));
    write_picture();  // that it cannot be written is better known now
    engine_ = load_reader(program, whole_, *lengths_.rbegin(), ruler_max_new_tokens());
    costs_ = context_costs(engine_->model_file());
  }

  int run() {
    check_lengths();
    measure();
    print();
    return measurement_.end();
  }

 private:
  void measure() {
    const double trials = options_.trials, n_tasks = static_cast<double>(tasks_.size());
    double total = 0;
    for (const int n : lengths_) total += trials * n_tasks * work_of(n);
    WorkLeft left(total);
    size_t column = 0;
    for (const int n_tokens : lengths_) {
      for (size_t task = 0; task < tasks_.size(); ++task) {
        Cell& cell = cells_[task * lengths_.size() + column];
        for (int trial = 0; trial < options_.trials; ++trial) {
          const auto seed = options_.seed + static_cast<uint32_t>(trial);
          if (!measurement_.part([&] { cell.add(ask(tasks_[task], n_tokens, seed)); })) return;
          left.did(work_of(n_tokens));
        }
        program_.output().note(std::to_string(n_tokens) + " tokens, " + tasks_[task] + ": " +
                               format_share(cell.mean(cell.score)) + ", " +
                               format_seconds(cell.mean(cell.seconds)) + " each" + left.text());
        write_picture();
      }
      ++column;
    }
  }

  void print() const {
    Output& out = program_.output();
    if (out.json()) return out.print_json(json());
    constexpr size_t kNameWidth = 16, kWidth = 9;
    const auto row = [&](std::string name, const auto& cell_of_column) {
      name.resize(kNameWidth, ' ');
      for (size_t column = 0; column < lengths_.size(); ++column) {
        const Cell cell = cell_of_column(column);
        name += padded(cell.asked > 0 ? format_share(cell.mean(cell.score)) : "-", kWidth);
      }
      out.print_line(name);
    };
    std::string head = "tokens";
    head.resize(kNameWidth, ' ');
    for (const int n : lengths_) head += padded(std::to_string(n), kWidth);
    out.print_line(head);
    for (size_t task = 0; task < tasks_.size(); ++task)
      row(tasks_[task], [&](size_t column) { return cells_[task * lengths_.size() + column]; });
    row("mean", [&](size_t column) { return of_length(column); });
  }

  std::vector<std::string> wanted_tasks() const {
    const bool has_data = !options_.data.empty();
    std::vector<std::string> tasks = options_.tasks;
    if (tasks.empty()) {
      tasks = ruler_task_names();
      std::erase_if(tasks, [&](const std::string& task) {
        return (task == "qa" && !has_data) || (!whole_ && ruler_needs_whole_text(task));
      });
    }
    for (const std::string& task : tasks) {
      if (task == "qa" && !has_data) {
        throw Error(ErrorCode::kInvalidArgument,
                    "qa asks questions of your own: give --data, a file in SQuAD format");
      }
      if (!whole_ && ruler_needs_whole_text(task)) {
        throw Error(ErrorCode::kInvalidArgument,
                    task + " is answered from the whole text, not from passages: --level whole");
      }
    }
    return tasks;
  }

  double work_of(int n_tokens) const { return whole_ ? reading_work(costs_, n_tokens) : n_tokens; }

  RulerSample sample_of(const std::string& task, int n_tokens, uint32_t seed) const {
    return make_ruler_sample(
        task, n_tokens, seed,
        [&](const RulerSample& s) {
          const ChatMessage message[] = {{.role = Role::kUser, .content = s.prompt()}};
          return static_cast<int>(engine_->chat_template().render(message, s.reply_prefix).size());
        },
        data_);
  }

  // That a task needs more tokens, or has no text for so many, is better known before the first is asked.
  void check_lengths() const {
    for (const std::string& task : tasks_)
      for (const int n_tokens : {*lengths_.begin(), *lengths_.rbegin()})
        sample_of(task, n_tokens, options_.seed);
  }

  Cell ask(const std::string& task, int n_tokens, uint32_t seed) {
    const RulerSample sample = sample_of(task, n_tokens, seed);
    const Stopwatch time;
    const TextReply reply = whole_ ? read_whole(*engine_, sample.prompt(), sample.reply_prefix,
                                                sample.max_new_tokens, program_.cancel)
                                   : ask_agent(*engine_, *parse_level(options_.level), model_name(program_),
                                               sample.text, sample.question, program_.cancel);
    const Cell one{.asked = 1,
                   .score = ruler_score(sample, reply.text),
                   .seconds = time.seconds(),
                   .prompt_tokens = reply.prompt_tokens};
    if (replies_.is_open()) {
      replies_.add({{"task", task},
                    {"tokens", n_tokens},
                    {"seed", seed},
                    {"question", sample.question},
                    {"answers", sample.answers},
                    {"reply", reply.text},
                    {"score", one.score}});
    }
    return one;
  }

  static std::string format_share(double share) {
    char text[16];
    std::snprintf(text, sizeof(text), "%.2f", share);
    return text;
  }

  Cell of_length(size_t column) const {
    Cell sum;
    for (size_t task = 0; task < tasks_.size(); ++task) sum.add(cells_[task * lengths_.size() + column]);
    return sum;
  }

  static Json to_json(int n_tokens, const Cell& cell) {
    return {{"tokens", n_tokens},
            {"n", cell.asked},
            {"score", cell.mean(cell.score)},
            {"mean_prompt_tokens", cell.mean(static_cast<double>(cell.prompt_tokens))},
            {"seconds", cell.seconds}};
  }

  Json json() const {
    Json result = json_result("eval.ruler");
    result["model"] = engine_->config().name;
    result["level"] = options_.level;
    result["extend"] = program_.options.extend;
    result["dense"] = program_.options.dense;
    Json by_length = Json::array(), tasks = Json::array();
    Cell all;
    for (size_t task = 0; task < tasks_.size(); ++task) {
      Json of_task = Json::array();
      size_t column = 0;
      for (const int n : lengths_) {
        const Cell& cell = cells_[task * lengths_.size() + column++];
        all.add(cell);
        if (cell.asked > 0) of_task.push_back(to_json(n, cell));
      }
      tasks.push_back({{"task", tasks_[task]}, {"by_length", std::move(of_task)}});
    }
    size_t column = 0;
    for (const int n : lengths_) {
      const Cell cell = of_length(column++);
      if (cell.asked > 0) by_length.push_back(to_json(n, cell));
    }
    result["n"] = all.asked;
    result["score"] = all.mean(all.score);
    result["by_length"] = std::move(by_length);
    result["tasks"] = std::move(tasks);
    result["seconds"] = all.seconds;
    measurement_.mark(result);
    return result;
  }

  void write_picture() const {
    if (options_.svg.empty()) return;
    HeatMap map{.title = "RULER's tasks by " + model_name(program_),
                .description = "Mean share of the expected answers in the replies, by task and length",
                .columns_name = "tokens",
                .rows_name = "task",
                .columns = {},
                .rows = tasks_,
                .values = {}};
    for (const int n : lengths_) map.columns.push_back(std::to_string(n));
    for (const Cell& cell : cells_)
      map.values.push_back(cell.asked > 0 ? std::optional(cell.mean(cell.score)) : std::nullopt);
    write_file_atomically(options_.svg, to_svg(map));
  }

  Program& program_;
  Measurement measurement_{program_};
  const RulerOptions& options_;
  bool whole_;
  std::vector<std::string> tasks_;
  std::set<int> lengths_;
  std::vector<Cell> cells_;  // [tasks, lengths]
  OutputFile replies_;
  SquadData data_;
  std::unique_ptr<Engine> engine_;
  ContextCosts costs_;
};

}  // namespace

void register_eval_ruler(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "ruler", "Measure the task families of RULER on long texts",
                  "  lectern eval ruler --tasks niah_single_2,vt --tokens 500,1000 --trials 1 --model "
                  "qwen2.5-coder-0.5b-instruct\n");
  const auto options = std::make_shared<RulerOptions>();
  // The names as words of the sentence: as a type they would be one that no line of a manual holds.
  std::string names;
  for (const std::string& name : ruler_task_names()) names += (names.empty() ? "" : ", ") + name;
  command->add_option("--tasks", options->tasks, "Which of them (default: all; qa needs --data): " + names)
      ->delimiter(',')
      ->check(CLI::IsMember(ruler_task_names()).description("TASK"));
  command->add_option("--tokens", options->tokens, "Lengths of the prompt, such as 2000,4000")
      ->delimiter(',')
      ->check(CLI::Range(200, 1 << 20))
      ->capture_default_str();
  command->add_option("--trials", options->trials, "Texts for each task and length")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_seed_option(command, options->seed, "Of the texts")->capture_default_str();
  command->add_option("--data", options->data, "Questions and paragraphs for qa, in SQuAD format")
      ->check(CLI::ExistingFile);
  add_reader_level(command, options->level);
  command->add_option("--replies", options->replies, "Write every reply to this file, a JSON line each");
  command->add_option("--svg", options->svg, "Draw task by length as a picture into this file");
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return RulerEvaluation(program, *options).run(); });
}

}  // namespace lectern::cli
