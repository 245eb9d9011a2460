// The model that --model names, loaded; for every command that needs one.
#pragma once

#include <memory>
#include <string>

#include "apps/cli/command.h"
#include "engine/engine.h"

namespace lectern::cli {

// --model, or the registry's default.
std::string model_name(const Program& program);

// With progress. Throws Error that says how to get the model, or what is wrong with its file.
std::unique_ptr<Engine> load_model(Program& program);

}  // namespace lectern::cli
