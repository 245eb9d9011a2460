// Models: those that there are, pulling, loading, and a reply without documents.
#include "models/registry.h"

#include "apps/capi/guarded.h"
#include "apps/capi/handles.h"
#include "apps/capi/memory.h"
#include "apps/capi/stop.h"
#include "base/json.h"
#include "engine/grammar.h"
#include "models/pull.h"

namespace lectern::capi {
namespace {

constexpr int kMaxTokens = 1 << 16;
constexpr size_t kMaxStops = 64;

const lectern_model_info* info_of(const ModelEntry& entry, Memory& memory) {
  auto* out = memory.take<lectern_model_info>();
  out->id = memory.text(entry.id);
  out->title = memory.text(entry.title);
  out->licence = memory.text(entry.licence);
  out->bytes = entry.bytes();
  out->context_tokens = entry.context_length;
  out->installed = is_installed(entry) ? 1 : 0;
  out->is_default = entry.id == default_model_id() ? 1 : 0;
  out->path = memory.text(out->installed != 0 ? model_path(entry).string() : "");
  return out;
}

const lectern_models* list_models() {
  auto out = std::make_unique<Result<lectern_models>>();
  auto** models = out->memory.take<const lectern_model_info*>(registry().size());
  for (const ModelEntry& entry : registry()) models[out->n_models++] = info_of(entry, out->memory);
  out->models = models;
  return out.release();
}

void pull(const char* id, const lectern_pull_options& options) {
  const std::string wanted(id == nullptr ? default_model_id() : id);
  const ModelEntry* entry = find_model(wanted);
  if (entry == nullptr)
    throw Error(ErrorCode::kNotFound, wanted + ": no model of that id" + did_you_mean_model(wanted) +
                                          "; lectern_models_list() lists them");
  PullOptions pulling{.offline = options.offline != 0, .huggingface_url = huggingface_endpoint()};
  if (options.source != nullptr)
    pulling.source = word<const char*>(
        options.source, {{"huggingface", "huggingface"}, {"modelscope", "modelscope"}, {"pip", "pip"}},
        "source");
  const Stop stop(options.cancel);
  pull_model(*entry, pulling, stop.progress(options.on_progress, options.user_data), stop.token());
}

lectern_model* load(const char* id_or_path, const lectern_model_options& options) {
  const Stop stop(options.cancel);
  auto model = std::make_unique<lectern_model>();
  model->name = id_or_path == nullptr ? std::string(default_model_id()) : id_or_path;
  BackendOptions backend{
      .n_threads = options.threads,
      .kv_tokens = options.context_tokens,
      .kv_type = word<KvType>(options.kv_type, {{"f16", KvType::kF16}, {"int8", KvType::kInt8}}, "kv_type")};
  // Loading takes no token: it is broken off where it tells how far it is, after each matrix.
  const ProgressFn tell = stop.progress(options.on_progress, options.user_data);
  const ProgressFn progress = [&](const Progress& state) {
    if (tell) tell(state);
    stop.token().throw_if_cancelled();
  };
  stop.token().throw_if_cancelled();
  const Device device = parse_device(options.device == nullptr ? "auto" : options.device);
  model->engine = Engine::load(resolve_model(model->name), {.backend = backend, .device = device}, progress);
  model->description = model->engine->config().name + ", " + model->engine->describe();
  model->language_model = std::make_unique<SharedLanguageModel>(*model->engine, model->name);
  return model.release();
}

std::vector<ChatMessage> messages_of(const lectern_message* messages, size_t n) {
  require(messages, "messages");
  if (n == 0) refuse("n_messages: a conversation has at least one message");
  std::vector<ChatMessage> out;
  for (size_t i = 0; i < n; ++i) {
    require(messages[i].role, "role");
    const Role role = word<Role>(
        messages[i].role, {{"user", Role::kUser}, {"assistant", Role::kAssistant}, {"system", Role::kSystem}},
        "role");
    out.push_back({.role = role, .content = required_text(messages[i].text, "text"), .tool_calls = {}});
  }
  return out;
}

GenerateRequest request_of(const lectern_generate_options& options) {
  GenerateRequest request;
  request.max_new_tokens = number_or(options.max_tokens, 512, 1, kMaxTokens, "max_tokens");
  request.sampling.temperature = options.temperature;
  request.sampling.top_k = options.top_k;
  request.sampling.top_p = options.top_p == 0 ? 1.0f : options.top_p;
  request.sampling.min_p = options.min_p;
  request.sampling.repetition_penalty = options.repetition_penalty == 0 ? 1.0f : options.repetition_penalty;
  request.sampling.seed = options.seed;
  validate(request.sampling);
  if (options.json_schema != nullptr)
    request.grammar = Grammar::from_json_schema(parse_json(options.json_schema, "json_schema"));
  require_list(options.stop, options.n_stop, "stop");
  if (options.n_stop > kMaxStops) refuse("n_stop: at most " + std::to_string(kMaxStops) + " are possible");
  for (size_t i = 0; i < options.n_stop; ++i) {
    request.stop.push_back(required_text(options.stop[i], "stop"));
    if (request.stop.back().empty()) refuse("stop: a text that ends the reply is not empty");
  }
  return request;
}

const lectern_reply* generate(lectern_model* model, const lectern_message* messages, size_t n_messages,
                              const lectern_generate_options& options) {
  require(model, "model");
  GenerateRequest request = request_of(options);
  request.prompt = model->engine->chat_template().render(messages_of(messages, n_messages));
  const Stop stop(options.cancel);
  const GenerateResult result = model->engine->generate(
      request, [&](std::string_view text) { return stop.text(options.on_text, text, options.user_data); },
      stop.token());
  if (result.finish_reason == FinishReason::kCancelled)
    throw Error(ErrorCode::kCancelled, "the reply was cancelled");
  auto out = std::make_unique<Result<lectern_reply>>();
  out->text = out->memory.text(result.text);
  out->text_bytes = result.text.size();
  out->truncated = result.finish_reason == FinishReason::kLength ? 1 : 0;
  out->prompt_tokens = result.prompt_tokens;
  out->cached_prompt_tokens = result.cached_prompt_tokens;
  out->new_tokens = result.new_tokens;
  out->seconds = result.prefill_seconds + result.decode_seconds;
  return out.release();
}

}  // namespace
}  // namespace lectern::capi

using namespace lectern::capi;

int lectern_models_list(const lectern_models** out) {
  return guarded_into(out, [] { return list_models(); });
}

void lectern_models_free(const lectern_models* models) {
  free_result(models);
}

int lectern_pull(const char* id, const lectern_pull_options* options) {
  return guarded([&] { pull(id, read_options(options, kFirstPullOptions, "lectern_pull_options")); });
}

int lectern_model_load(const char* id_or_path, const lectern_model_options* options, lectern_model** out) {
  return guarded_into(out, [&] {
    return load(id_or_path, read_options(options, kFirstModelOptions, "lectern_model_options"));
  });
}

void lectern_model_free(lectern_model* model) {
  delete model;
}

const char* lectern_model_name(const lectern_model* model) {
  return model == nullptr ? "" : model->name.c_str();
}

const char* lectern_model_description(const lectern_model* model) {
  return model == nullptr ? "" : model->description.c_str();
}

int lectern_model_context_tokens(const lectern_model* model) {
  return model == nullptr ? 0 : model->engine->context_tokens();
}

int lectern_generate(lectern_model* model, const lectern_message* messages, size_t n_messages,
                     const lectern_generate_options* options, const lectern_reply** out) {
  return guarded_into(out, [&] {
    return generate(model, messages, n_messages,
                    read_options(options, kFirstGenerateOptions, "lectern_generate_options"));
  });
}

void lectern_reply_free(const lectern_reply* reply) {
  free_result(reply);
}
