#include "apps/cli/language_model.h"

#include <cstdlib>
#include <filesystem>

#include "agent/engine_language_model.h"
#include "agent/remote_language_model.h"
#include "apps/cli/load_model.h"
#include "base/error.h"
#include "base/files.h"
#include "models/registry.h"

namespace lectern::cli {
namespace {

constexpr uint64_t kMaxKeyBytes = 16 << 10;

std::string api_key(const SharedOptions& options) {
  if (!options.llm_key_file.empty()) {
    std::string key = read_file(options.llm_key_file, kMaxKeyBytes);
    const size_t begin = key.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos)
      throw Error(ErrorCode::kInvalidArgument, options.llm_key_file + ": the key file is empty");
    return key.substr(begin, key.find_last_not_of(" \t\r\n") - begin + 1);
  }
  for (const char* name : {"LECTERN_LLM_API_KEY", "OPENAI_API_KEY"}) {
    if (const char* key = std::getenv(name); key != nullptr && *key != '\0') return key;
  }
  return {};
}

// One that is the model itself is not loaded twice.
bool has_helper(const Program& program) {
  const std::string& helper = program.options.helper_model;
  if (helper.empty() || is_remote(program)) return !helper.empty();
  std::error_code unknown;
  return !std::filesystem::equivalent(resolve_model(helper), resolve_model(model_name(program)), unknown);
}

}  // namespace

bool is_remote(const Program& program) {
  return !program.options.llm.empty();
}

void check_model(const Program& program) {
  if (!is_remote(program)) resolve_model(model_name(program));
  helper_name(program);
}

OpenModel open_model(Program& program, const ReadingPlan* plan) {
  OpenModel open;
  if (has_helper(program)) {
    const std::string& helper = program.options.helper_model;
    open.helper_engine = load_engine(program, helper);
    open.helper_model = std::make_unique<EngineLanguageModel>(*open.helper_engine, helper);
  }
  if (!is_remote(program)) {
    open.engine = plan != nullptr ? load_planned(program, *plan) : load_model(program);
    open.model = std::make_unique<EngineLanguageModel>(*open.engine, model_name(program));
    return open;
  }
  const SharedOptions& options = program.options;
  auto remote = std::make_unique<RemoteLanguageModel>(RemoteOptions{.url = options.llm,
                                                                    .model = options.llm_model,
                                                                    .api_key = api_key(options),
                                                                    .context_tokens = options.llm_context,
                                                                    .limits = {}},
                                                      program.cancel);
  if (remote->context_is_guessed()) {
    program.output().warning("the server does not tell the context window of " + printable(remote->name()) +
                             ": " + std::to_string(remote->context_tokens()) +
                             " tokens are assumed; state it with --llm-context N");
  }
  open.model = std::move(remote);
  return open;
}

OpenModel open_model_for(Program& program, Level level, DocumentSource& documents,
                         std::span<const std::string> questions) {
  if (level != Level::kNative || is_remote(program)) return open_model(program);
  ReadingPlan plan = plan_reading(program, documents, questions, AskRequest().max_answer_tokens);
  require_fit(program, plan);
  program.output().note("plan: " + describe(plan.context));
  plan.kept = {};
  return open_model(program, &plan);
}

}  // namespace lectern::cli
