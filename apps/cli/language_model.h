// The language model of a command: a local one, or with --llm one behind an OpenAI-compatible URL.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "agent/language_model.h"
#include "apps/cli/command.h"
#include "apps/cli/reading_plan.h"
#include "engine/engine.h"

namespace lectern::cli {

struct OpenModel {
  std::unique_ptr<Engine> engine;  // of a local model
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Engine> helper_engine;  // of --helper-model
  std::unique_ptr<LanguageModel> helper_model;

  // For the cheap calls: --helper-model, else the model itself.
  LanguageModel& helper() const { return helper_model ? *helper_model : *model; }
};

bool is_remote(const Program& program);

// Fails early and cheaply: throws Error for a local model that is missing, before documents are read.
void check_model(const Program& program);

// Loads the local model with progress, or asks the server about its own. Warns when the server's context
// window is not known. `plan`: how the local model is to be loaded, null: for passages. Throws Error as
// load_model and RemoteLanguageModel do.
OpenModel open_model(Program& program, const ReadingPlan* plan = nullptr);

// For measuring a level: open_model, at level 4 with the plan for reading `documents` whole for each of
// `questions`, which is told; nothing is kept on disk. Throws Error(kResourceExhausted) where they do not
// fit.
OpenModel open_model_for(Program& program, Level level, DocumentSource& documents,
                         std::span<const std::string> questions);

}  // namespace lectern::cli
