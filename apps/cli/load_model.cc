#include "apps/cli/load_model.h"

#include <climits>

#include "models/registry.h"

namespace lectern::cli {
namespace {

// --sparse-config is for the model that --model names: others have other heads.
std::shared_ptr<const ModelFile> open_file(const Program& program, const std::string& model) {
  return ModelFile::open(resolve_model(model), context_extension(program),
                         model == model_name(program) ? program.options.sparse_config : "");
}

std::unique_ptr<Engine> load(Program& program, std::shared_ptr<const ModelFile> model,
                             Engine::Options options) {
  options.device = device(program);
  Output& out = program.output();
  auto engine = Engine::load(std::move(model), options, cancellable(out.progress(), program.cancel));
  out.end_progress();
  return engine;
}

}  // namespace

std::string model_name(const Program& program) {
  return program.options.model.empty() ? std::string(default_model_id()) : program.options.model;
}

std::string helper_name(const Program& program) {
  const std::string& helper = program.options.helper_model;
  if (!helper.empty()) ModelFile::open(resolve_model(helper));
  return helper;
}

BackendOptions backend_options(const Program& program, int64_t kv_tokens) {
  BackendOptions options{.n_threads = program.options.threads,
                         .kv_tokens = kv_tokens,
                         .max_context_tokens = program.options.max_context,
                         .kv_type = program.options.kv == "int8" ? KvType::kInt8 : KvType::kF16};
  options.fp8 = program.options.fp8;
  if (program.options.dense) options.sparse_prefill.above_tokens = INT_MAX;
  return options;
}

Device device(const Program& program) {
  const Device asked = parse_device(program.options.device.empty() ? "auto" : program.options.device);
  // At once, not when a server loads its first model.
  if (asked.kind == Device::Kind::kCuda) choose_device(asked, find_cuda(), 0);
  return asked;
}

ContextExtension context_extension(const Program& program) {
  return program.options.extend == "dca" ? ContextExtension::kDualChunk : ContextExtension::kNone;
}

std::shared_ptr<const ModelFile> open_model_file(const Program& program) {
  return open_file(program, model_name(program));
}

std::unique_ptr<Engine> load_model(Program& program, int64_t kv_tokens) {
  return load_engine(program, model_name(program), kv_tokens);
}

std::unique_ptr<Engine> load_engine(Program& program, const std::string& model, int64_t kv_tokens) {
  return load(program, open_file(program, model), {.backend = backend_options(program, kv_tokens)});
}

std::unique_ptr<Engine> load_planned(Program& program, const ReadingPlan& plan) {
  BackendOptions backend = backend_options(program, plan.context.context_tokens);
  backend.kv_type = plan.context.kv_type;
  backend.prefill_chunk_tokens = plan.context.prefill_chunk_tokens;
  KvStoreOptions kept = plan.kept;
  if (const std::string problem = kept.folder.empty() ? "" : make_kv_store_folder(kept.folder);
      !problem.empty()) {
    program.output().warning(problem + "; what is read now is not kept for the next question");
    kept = {};
  }
  return load(program, plan.model, {.backend = backend, .kv_store = kept});
}

}  // namespace lectern::cli
