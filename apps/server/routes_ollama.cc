// /api/...: as Ollama's clients expect it. Streams are lines of JSON.
#include <ctime>

#include "apps/server/chat_job.h"
#include "apps/server/chat_wire.h"
#include "apps/server/ollama_wire.h"
#include "apps/server/routes.h"
#include "apps/server/wire.h"
#include "engine/grammar.h"

namespace lectern::server {
namespace {

GenerateRequest read_options(const Fields& fields) {
  static const Json kNone = Json::object();
  const Json* json = fields.find("options");
  if (json != nullptr && !json->is_object())
    throw HttpError(400, "\"options\" must be an object", "invalid_value", "options");
  const Fields options(json != nullptr ? *json : kNone);
  GenerateRequest request;
  // Ollama's -1 and -2 ask for as much as there is room for.
  const int64_t most = options.integer("num_predict", 1024, -2, kMaxAnswerTokens);
  request.max_new_tokens = most <= 0 ? kMaxAnswerTokens : static_cast<int>(most);
  request.sampling.temperature = static_cast<float>(options.number("temperature", 0.7, 0, 2));
  request.sampling.top_p = static_cast<float>(options.number("top_p", 0.8, 0, 1));
  request.sampling.min_p = static_cast<float>(options.number("min_p", 0, 0, 1));
  request.sampling.top_k = static_cast<int>(options.integer("top_k", 20, 0, 1000));
  request.sampling.repetition_penalty = static_cast<float>(options.number("repeat_penalty", 1, 0.1, 10));
  read_seed_and_stop(options, request);
  const Json* format = fields.find("format");
  if (format != nullptr && *format == "json") {
    request.grammar = Grammar::any_json_object();
  } else if (format != nullptr && *format != "") {
    if (!format->is_object())
      throw HttpError(400, "\"format\" must be json or a JSON schema", "invalid_value", "format");
    try {
      request.grammar = Grammar::from_json_schema(*format);
    } catch (const Error& error) {
      throw HttpError(400, error.what(), "invalid_value", "format");
    }
  }
  return request;
}

// Ollama gives the arguments as an object.
Json calls_json(std::span<const ToolCall> calls) {
  Json list = Json::array();
  for (const ToolCall& call : calls)
    list.push_back({{"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  return list;
}

Json frame(const std::string& model, bool is_chat, const std::string& text, bool done) {
  Json json{{"model", model}, {"created_at", ollama_time(std::time(nullptr))}};
  if (is_chat) {
    json["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    json["response"] = text;
  }
  json["done"] = done;
  return json;
}

Json last_frame(const std::string& model, bool is_chat, const std::string& text, const ChatResult& result) {
  Json json = frame(model, is_chat, text, true);
  json["done_reason"] = result.truncated ? "length" : "stop";
  json["total_duration"] = static_cast<int64_t>(result.seconds * 1e9);
  json["prompt_eval_count"] = result.prompt_tokens;
  json["eval_count"] = result.new_tokens;
  if (result.answer) json["lectern"] = answer_json(*result.answer, result.model);
  return json;
}

void complete(Call& call, Service& service, const Fields& fields, ChatJob job, bool is_chat) {
  job.generate = read_options(fields);
  const bool streamed = fields.flag("stream", true);
  const std::string shown = fields.text("model");
  const auto chat = std::make_shared<PreparedChat>(service, std::move(job), call.cancel);
  if (!streamed) {
    const ChatResult result = chat->run({}, call.cancel);
    Json json = last_frame(shown, is_chat, result.text, result);
    if (!result.calls.empty()) json["message"]["tool_calls"] = calls_json(result.calls);
    return call.reply(json);
  }
  const CancelToken cancel = call.cancel;
  stream(
      call, "application/x-ndjson",
      [chat, shown, is_chat, cancel](EventWriter& writer) {
        const ChatResult result = chat->run(
            [&](std::string_view text) {
              writer.raw(dump_json(frame(shown, is_chat, std::string(text), false)) + "\n");
            },
            cancel,
            [&](const ToolCall& tool_call) {
              Json json = frame(shown, is_chat, "", false);
              json["message"]["tool_calls"] = calls_json({&tool_call, 1});
              writer.raw(dump_json(json) + "\n");
            });
        writer.raw(dump_json(last_frame(shown, is_chat, "", result)) + "\n");
      },
      [](EventWriter& writer, const ErrorReply& error) {
        writer.raw(dump_json(Json{{"error", error.message}}) + "\n");
      });
}

}  // namespace

void add_ollama_routes(Router& router, Service& service, const std::string& version) {
  router.get("/api/version", [version](Call& call) { call.reply({{"version", version}}); });
  router.get("/api/tags", [&service](Call& call) {
    Json list = Json::array();
    for (const ModelInfo& model : service.models().list()) {
      list.push_back(ollama_tag(model.id, model));
      if (!service.collections().empty())
        list.push_back(ollama_tag(model.id + std::string(kRagSuffix), model));
    }
    call.reply({{"models", list}});
  });
  router.post("/api/chat", [&service](Call& call, const Json& body) {
    const Fields fields(body);
    ChatJob job;
    read_model_name(fields, job);
    job.messages = read_messages(fields);
    job.tools = read_tools(fields, ToolForm::kNested);
    if (job.collection && job.tools.offered())
      throw HttpError(400, "answers from documents have a form of their own: leave out \"tools\"",
                      "unsupported_parameter", "tools");
    complete(call, service, fields, std::move(job), true);
  });
  router.post("/api/generate", [&service](Call& call, const Json& body) {
    const Fields fields(body);
    ChatJob job;
    read_model_name(fields, job);
    if (const std::string system = fields.text_or("system", ""); !system.empty())
      job.messages.push_back({Role::kSystem, system, {}});
    job.messages.push_back({Role::kUser, fields.text("prompt"), {}});
    complete(call, service, fields, std::move(job), false);
  });
}

}  // namespace lectern::server
