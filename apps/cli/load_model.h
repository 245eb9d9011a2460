// The model that --model names, loaded; for every command that needs one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "apps/cli/command.h"
#include "apps/cli/reading_plan.h"
#include "engine/engine.h"

namespace lectern::cli {

// --model, or the registry's default.
std::string model_name(const Program& program);

// --helper-model; "": the model itself. Throws Error when it is not there or no model: at once, not with a
// server's first question.
std::string helper_name(const Program& program);

// What --threads, --kv, --fp8, --dense and --max-context ask of the engine.
BackendOptions backend_options(const Program& program, int64_t kv_tokens);
// What --device asks for. Throws Error(kUnavailable) when that is a CUDA device that is not there.
Device device(const Program& program);
// What --extend asks of the model.
ContextExtension context_extension(const Program& program);
// The file of --model as --extend and --sparse-config make it. Throws Error that says how to get the model,
// or what is wrong with its file.
std::shared_ptr<const ModelFile> open_model_file(const Program& program);

// With progress. `kv_tokens`: positions of the KV cache; 0: the model's context, as far as memory allows.
// Throws Error that says how to get the model, or what is wrong with its file.
std::unique_ptr<Engine> load_model(Program& program, int64_t kv_tokens = 0);
// As planned; what is read whole is kept on disk.
std::unique_ptr<Engine> load_planned(Program& program, const ReadingPlan& plan);
// As load_model of any model, by name or path.
std::unique_ptr<Engine> load_engine(Program& program, const std::string& model, int64_t kv_tokens = 0);

}  // namespace lectern::cli
