#include "apps/cli/load_model.h"

#include "models/registry.h"

namespace lectern::cli {

std::string model_name(const Program& program) {
  return program.options.model.empty() ? std::string(default_model_id()) : program.options.model;
}

std::unique_ptr<Engine> load_model(Program& program, int64_t kv_tokens) {
  Output& out = program.output();
  auto engine = Engine::load(resolve_model(model_name(program)),
                             {.backend = {.n_threads = program.options.threads, .kv_tokens = kv_tokens}},
                             out.progress());
  out.end_progress();
  if (const std::string note = engine->config().context_note(); !note.empty()) out.note(note);
  return engine;
}

}  // namespace lectern::cli
