// What ask and chat share: the model, the options of an answer, and how an answer is shown.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "apps/cli/language_model.h"
#include "apps/cli/reading_plan.h"
#include "apps/cli/target.h"
#include "apps/common/answers.h"

namespace lectern::cli {

struct AnswerOptions {
  std::string level = "auto";
  std::string helpers = "auto";
  std::vector<std::string> budget;  // "30s", "200chunks", "20000tokens"
  int context_tokens = 8192;
  int max_passages = 0;
  int max_answer_tokens = 512;
  uint64_t seed = 0;
  bool explain = false;
  bool no_index = false;
};

void add_answer_options(CLI::App* command, AnswerOptions& options);
AskRequest make_request(const AnswerOptions& options, std::string question);

struct AnswerEvents {
  std::function<void(const TraceStep&)> on_step;
  std::function<void(std::string_view)> on_text;
};

// A loaded model and a collection, ready for questions.
class Answerer {
 public:
  // Brings the collection up to date and loads the model, both with progress. Null when the collection holds
  // no document; a note says so. For level 4 what is read is planned first: Error(kResourceExhausted) when it
  // does not fit. `question`: the only one, "" when there will be several.
  static std::unique_ptr<Answerer> open(Program& program, const std::string& folder,
                                        const AnswerOptions& options, const std::string& question = "");

  // Looks for changed files again, unless the options say not to.
  void refresh(Program& program);

  // Streams the answer to stdout, then prints its citations there and, on stderr, what it took. With --json
  // it prints nothing: that is the caller's.
  Answer answer(Program& program, const AskRequest& request, const AnswerEvents& events,
                const CancelToken& cancel);

  // What --json prints of an answer.
  Json to_json(const std::string& question, const Answer& answer) const;

 private:
  Answerer() = default;

  AnswerOptions options_;
  Target target_;
  std::unique_ptr<Collection> collection_;
  std::optional<ReadingPlan> plan_;
  bool plan_is_told_ = false;
  OpenModel model_;
};

}  // namespace lectern::cli
