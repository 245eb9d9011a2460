// What ask and chat share: the model, the options of an answer, and how an answer is shown.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "apps/cli/language_model.h"
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
  // no document; a note says so.
  static std::unique_ptr<Answerer> open(Program& program, const std::string& folder,
                                        const AnswerOptions& options);

  // Looks for changed files again, unless the options say not to.
  void refresh(Program& program);

  // Streams the answer to stdout, then prints its citations there and, on stderr, what it took. With --json
  // it prints nothing: that is the caller's.
  Answer answer(Program& program, const AskRequest& request, const AnswerEvents& events,
                const CancelToken& cancel);

  std::string model_name() const { return model_.model->name(); }

 private:
  Answerer() = default;

  AnswerOptions options_;
  Target target_;
  std::unique_ptr<Collection> collection_;
  OpenModel model_;
};

// Adds the answer to a JSON result; `explain` adds the trace and the passages.
void add_answer(Json& json, const Answer& answer, bool explain);

}  // namespace lectern::cli
