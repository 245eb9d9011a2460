#include "apps/cli/text_question.h"

#include "agent/collection_source.h"
#include "agent/engine_language_model.h"
#include "apps/cli/answer_match.h"
#include "apps/cli/load_model.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

constexpr int kAgentKvTokens = 16'384;  // room for the agent's prompts, and for chunks read together

}  // namespace

TextReply read_whole(Engine& engine, const std::string& prompt, std::string_view reply_prefix,
                     int max_new_tokens, const CancelToken& cancel) {
  const ChatMessage message[] = {{.role = Role::kUser, .content = prompt}};
  GenerateRequest request;
  request.prompt = engine.chat_template().render(message, reply_prefix);
  request.max_new_tokens = max_new_tokens;
  const GenerateResult result = engine.generate(request, {}, cancel);
  cancel.throw_if_cancelled();
  return {.text = result.text,
          .prompt_tokens = result.prompt_tokens,
          .read_tokens = result.prompt_tokens - result.cached_prompt_tokens};
}

TextReply ask_agent(Engine& engine, Level level, const std::string& model, const std::string& text,
                    const std::string& question, const CancelToken& cancel) {
  Document document;
  document.text = text;
  document.format = "text";
  const auto collection = Collection::open_in_memory();
  collection->add("text", document);
  CollectionSource source(*collection);
  EngineLanguageModel language_model(engine, model);
  AskRequest request;
  request.question = question;
  request.level = level;
  const Answer answer = Agent(language_model, source).ask(request, {}, cancel);
  TextReply reply{.text = without_markers(answer.text),
                  .prompt_tokens = answer.trace.prompt_tokens,
                  .read_tokens = answer.trace.prompt_tokens,
                  .chunks = static_cast<int>(source.n_chunks())};
  for (const TraceStep& step : answer.trace.steps)
    if (step.kind == "read") reply.chunks_read += step.data["read"].get<int>();
  return reply;
}

std::unique_ptr<Engine> load_reader(Program& program, bool whole, int n_tokens, int max_new_tokens) {
  if (!whole) return load_model(program, kAgentKvTokens);
  const int needed = n_tokens + max_new_tokens;
  auto engine = load_model(program, needed + 2 * kKvPageTokens);  // one page is copied from an earlier prompt
  if (engine->context_tokens() < needed) {
    throw Error(ErrorCode::kInvalidArgument,
                "--tokens " + std::to_string(n_tokens) + " and a reply of " + std::to_string(max_new_tokens) +
                    " are more than " + engine->config().name + " may read (" +
                    std::to_string(engine->context_tokens()) + " tokens); give fewer" +
                    (program.options.max_context > 0 && program.options.max_context < needed
                         ? ", or raise --max-context"
                     : program.options.extend.empty() ? ", or --extend dca"
                                                      : ""));
  }
  return engine;
}

void add_reader_level(CLI::App* command, std::string& level) {
  command->add_option("--level", level, "whole: by the model at once; 1, 2, auto: by a level of the agent")
      ->check(CLI::IsMember({"whole", "1", "2", "auto"}))
      ->capture_default_str();
}

}  // namespace lectern::cli
