// lectern chat: questions line by line, each understood in the light of those before.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "apps/cli/answering.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

constexpr size_t kMaxLineBytes = 1 << 20;
constexpr size_t kMaxTurnsKept = 8;  // of the conversation, question and answer each

// Lines of stdin, read so that Ctrl-C ends the wait.
class LineReader {
 public:
  std::optional<std::string> next(const CancelToken& cancel) {
    while (true) {
      if (const size_t newline = pending_.find('\n'); newline != std::string::npos) {
        std::string line = pending_.substr(0, newline);
        pending_.erase(0, newline + 1);
        return line;
      }
      if (at_end_) {
        if (pending_.empty()) return std::nullopt;
        return std::exchange(pending_, {});
      }
      if (pending_.size() > kMaxLineBytes)
        throw Error(ErrorCode::kInvalidArgument, "the line is longer than " + format_bytes(kMaxLineBytes));
      wait(cancel);
      char buffer[4096];
      const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
      cancel.throw_if_cancelled();
      if (n < 0 && errno != EINTR)
        throw Error(ErrorCode::kIo, std::string("cannot read standard input: ") + std::strerror(errno));
      if (n == 0) at_end_ = true;
      if (n > 0) pending_.append(buffer, static_cast<size_t>(n));
    }
  }

 private:
  // Until there is something to read. Looks up now and then, since a signal that comes just before a wait
  // does not end it.
  static void wait(const CancelToken& cancel) {
    constexpr int kMilliseconds = 200;
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    int n = 0;
    while (n <= 0) {
      cancel.throw_if_cancelled();
      n = ::poll(&input, 1, kMilliseconds);
      if (n < 0 && errno != EINTR) return;  // read() tells
    }
  }

  std::string pending_;
  bool at_end_ = false;
};

// What is wrong with one question, was too much for it, or may be better at the next one (a server that does
// not answer) does not end the conversation.
bool is_about_the_question(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kResourceExhausted ||
         code == ErrorCode::kUnavailable;
}

// Ctrl-C stops what `token` belongs to, and nothing else, as long as the object lives.
struct Interruptible {
  Interruptible(Program& owner, const CancelToken& token) : program(owner) { owner.interruptible = &token; }
  ~Interruptible() { program.interruptible = nullptr; }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  Program& program;
};

Answer answer_one(Program& program, Answerer& answerer, const AnswerOptions& options,
                  const std::string& question, const std::vector<LmMessage>& history,
                  const CancelToken& cancel) {
  Output& out = program.output();
  require_words(question, "question");
  if (!history.empty()) answerer.refresh(program);
  AskRequest request = make_request(options, question);
  request.history = history;
  Answer answer = answerer.answer(program, request, {}, cancel);
  if (out.json()) {
    out.print_json(answerer.to_json(question, answer));
  } else {
    out.print("\n");
  }
  return answer;
}

int chat(Program& program, const std::string& folder, const AnswerOptions& options) {
  Output& out = program.output();
  const auto answerer = Answerer::open(program, folder, options);
  if (answerer == nullptr) return kExitNothing;
  const bool interactive = ::isatty(STDIN_FILENO) == 1 && out.stdout_is_terminal() && !out.json();
  if (interactive) out.note("Ask away; Ctrl-C stops an answer, an empty line or Ctrl-D ends.");

  LineReader lines;
  std::vector<LmMessage> history;
  bool anything_found = false, anything_failed = false;
  while (true) {
    if (interactive) out.print("> ");
    const auto question = lines.next(program.cancel);
    if (!question || (interactive && question->empty())) break;
    if (question->find_first_not_of(" \t\r") == std::string::npos) continue;
    const CancelToken stop = interactive ? CancelToken() : program.cancel;
    try {
      const Interruptible only(program, stop);
      const Answer said = answer_one(program, *answerer, options, *question, history, stop);
      anything_found = anything_found || is_supported(said);
      history.push_back({LmMessage::Role::kUser, *question});
      history.push_back({LmMessage::Role::kAssistant, said.text});
      if (history.size() > 2 * kMaxTurnsKept) history.erase(history.begin(), history.begin() + 2);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled && interactive && !program.cancel.cancelled()) {
        out.print("\n");
        out.note("stopped");
        continue;
      }
      if (!is_about_the_question(error.code())) throw;
      out.end_progress();
      report_error(out.json(), to_string(error.code()), error.what(), kExitFailure);
      anything_failed = true;
    }
  }
  if (anything_failed && !interactive) return kExitFailure;
  return anything_found ? kExitFound : kExitNothing;
}

}  // namespace

void register_chat(CLI::App& app, Program& program) {
  struct Options {
    std::string folder;
    AnswerOptions answer;
  };
  CLI::App* command =
      add_command(app, "chat", "Ask one question after the other",
                  "  lectern chat notes\n"
                  "  printf 'Who rode the running machine?\\nWhen?\\n' | lectern chat notes --json\n");
  auto options = std::make_shared<Options>();
  command->add_option("FOLDER", options->folder, "The folder (default: the one you are in)");
  add_answer_options(command, options->answer);
  add_model_options(command, program.options);
  add_llm_options(command, program.options);
  add_kept_option(command, program.options);
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return chat(program, options->folder, options->answer); });
}

}  // namespace lectern::cli
