// lectern ask
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "apps/cli/answering.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

constexpr size_t kMaxQuestionBytes = 1 << 20;

struct Options {
  std::vector<std::string> arguments;
  AnswerOptions answer;
  bool stream = false;
};

std::string read_stdin(const CancelToken& cancel) {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    cancel.throw_if_cancelled();
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw Error(ErrorCode::kIo, std::string("cannot read standard input: ") + std::strerror(errno));
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxQuestionBytes)
      throw Error(ErrorCode::kInvalidArgument, "the question is longer than " +
                                                   format_bytes(kMaxQuestionBytes) +
                                                   "; put long texts into the folder");
  }
}

// A folder alone is no question, whatever its name says.
void require_question(const std::string& folder, const std::string& question) {
  std::error_code error;
  if (!folder.empty() || !std::filesystem::exists(question, error)) return;
  throw Error(ErrorCode::kInvalidArgument, "the question is missing: only " + question +
                                               " was named; ask, such as: lectern ask " + question +
                                               " \"What is this about?\"");
}

int ask(Program& program, const Options& options) {
  Output& out = program.output();
  auto [folder, question] = split_arguments(options.arguments, "ask", "question");
  require_question(folder, question);
  if (question == "-") {
    question = read_stdin(program.cancel);
    question.erase(question.find_last_not_of(" \t\r\n") + 1);
  }
  require_words(question, "question");

  const auto answerer = Answerer::open(program, folder, options.answer, question);
  if (answerer == nullptr) return kExitNothing;
  AnswerEvents events;
  const bool stream = out.json() && options.stream;
  if (stream) {
    events.on_text = [&out](std::string_view text) {
      Json line = json_result("ask.text");
      line["text"] = std::string(text);
      out.print_json(line);
    };
    events.on_step = [&out](const TraceStep& step) {
      Json line = json_result("ask.step");
      line["kind"] = step.kind;
      line["detail"] = step.detail;
      line["seconds"] = step.seconds;
      out.print_json(line);
    };
  }
  const Answer answer =
      answerer->answer(program, make_request(options.answer, question), events, program.cancel);
  if (out.json()) {
    out.print_json(answerer->to_json(question, answer));
  }
  return is_supported(answer) ? kExitFound : kExitNothing;
}

}  // namespace

void register_ask(CLI::App& app, Program& program) {
  CLI::App* command =
      add_command(app, "ask", "Answer a question from documents, with citations",
                  "  lectern ask notes \"When were the runner beans sown?\"\n"
                  "  lectern ask notes \"拙政园是哪一年始建的？\" --explain\n"
                  "  echo \"How heavy is the bell?\" | lectern ask notes/trips/clock-tower.md - --json\n");
  auto options = std::make_shared<Options>();
  command
      ->add_option("arguments", options->arguments,
                   "The folder (default: the one you are in) and the question; -: from stdin")
      ->option_text("[FOLDER] QUESTION")
      ->required()
      ->expected(1, -1);  // more are refused with a remedy
  add_answer_options(command, options->answer);
  command->add_flag("--stream", options->stream,
                    "With --json: one line for every step and piece of text, then the result");
  add_model_options(command, program.options);
  add_llm_options(command, program.options);
  add_kept_option(command, program.options);
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return ask(program, *options); });
}

}  // namespace lectern::cli
