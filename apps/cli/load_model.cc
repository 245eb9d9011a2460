#include "apps/cli/load_model.h"

#include <climits>

#include "models/registry.h"

namespace lectern::cli {

std::string model_name(const Program& program) {
  return program.options.model.empty() ? std::string(default_model_id()) : program.options.model;
}

BackendOptions backend_options(const Program& program, int64_t kv_tokens) {
  BackendOptions options{.n_threads = program.options.threads,
                         .kv_tokens = kv_tokens,
                         .kv_type = program.options.kv == "int8" ? KvType::kInt8 : KvType::kF16};
  if (program.options.dense) options.sparse_prefill.above_tokens = INT_MAX;
  return options;
}

ContextExtension context_extension(const Program& program) {
  return program.options.extend == "dca" ? ContextExtension::kDualChunk : ContextExtension::kNone;
}

std::string sparse_config(const Program& program, const std::string& model) {
  return model == model_name(program) ? program.options.sparse_config : "";
}

std::unique_ptr<Engine> load_model(Program& program, int64_t kv_tokens) {
  return load_engine(program, model_name(program), kv_tokens);
}

std::unique_ptr<Engine> load_engine(Program& program, const std::string& model, int64_t kv_tokens) {
  Output& out = program.output();
  auto engine = Engine::load(resolve_model(model),
                             {.backend = backend_options(program, kv_tokens),
                              .extension = context_extension(program),
                              .sparse_config = sparse_config(program, model)},
                             out.progress());
  out.end_progress();
  return engine;
}

}  // namespace lectern::cli
