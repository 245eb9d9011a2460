// /v1/models, /v1/chat/completions, /v1/completions: as OpenAI's clients expect them.
#include <random>

#include "apps/server/chat_job.h"
#include "apps/server/chat_wire.h"
#include "apps/server/ids.h"
#include "apps/server/routes.h"
#include "apps/server/wire.h"
#include "base/utf8.h"
#include "engine/grammar.h"

namespace lectern::server {
namespace {

Json model_json(const std::string& id, int64_t created) {
  return {{"id", id}, {"object", "model"}, {"created", created}, {"owned_by", "lectern"}};
}

Json models_json(Service& service) {
  Json list = Json::array();
  for (const ModelInfo& model : service.models().list()) {
    list.push_back(model_json(model.id, model.modified));
    if (!service.collections().empty())
      list.push_back(model_json(model.id + std::string(kRagSuffix), model.modified));
  }
  return list;
}

// What would change the answer and is not done here is refused, not ignored.
void refuse_unsupported(const Fields& fields) {
  const auto refuse = [](const char* name, const std::string& why) {
    throw HttpError(400, "\"" + std::string(name) + "\" " + why, "unsupported_parameter", name);
  };
  if (const Json* value = fields.find("functions"); value != nullptr && !value->empty())
    refuse("functions", "are not supported: send them as \"tools\"");
  if (fields.integer("n", 1, 1, 128) != 1) refuse("n", "must be 1");
  if (fields.find("logprobs") != nullptr && *fields.find("logprobs") != Json(false))
    refuse("logprobs", "are not supported");
  for (const char* name : {"frequency_penalty", "presence_penalty"})
    if (fields.number(name, 0, -2, 2) != 0) refuse(name, "is not supported; see repetition_penalty");
  if (const Json* bias = fields.find("logit_bias"); bias != nullptr && !bias->empty())
    refuse("logit_bias", "is not supported");
}

std::shared_ptr<const Grammar> grammar_of(const Fields& fields) {
  const Json* format = fields.find("response_format");
  if (format == nullptr) return nullptr;
  if (!format->is_object())
    throw HttpError(400, "\"response_format\" must be an object", "invalid_value", "response_format");
  const Json* outer = Fields(*format).find("json_schema");
  return grammar_of_format(*format, outer, "response_format");
}

Json usage_json(const ChatResult& result) {
  return {{"prompt_tokens", result.prompt_tokens},
          {"completion_tokens", result.new_tokens},
          {"total_tokens", result.prompt_tokens + result.new_tokens},
          {"prompt_tokens_details", {{"cached_tokens", result.cached_prompt_tokens}}}};
}

const char* finish_of(const ChatResult& result) {
  return !result.calls.empty() ? "tool_calls" : result.truncated ? "length" : "stop";
}

struct Frame {
  std::string id, object, model;
  int64_t created = unix_time();

  Json json(Json choices) const {
    return {{"id", id},
            {"object", object},
            {"created", created},
            {"model", model},
            {"choices", std::move(choices)}};
  }
};

Json one_choice(const char* key, Json value, const Json& finish) {
  Json choice{{"index", 0}};
  choice[key] = std::move(value);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish;
  Json choices = Json::array();
  choices.push_back(std::move(choice));
  return choices;
}

// How the chunks of a chat and of a plain completion differ.
struct Shape {
  const char* prefix;
  const char* object;
  const char* chunk_object;
  bool is_chat;

  Json piece(const std::string& text, bool first) const {
    if (!is_chat) return one_choice("text", text, nullptr);
    Json delta = Json::object();
    if (first) delta["role"] = "assistant";
    delta["content"] = text;
    return one_choice("delta", std::move(delta), nullptr);
  }
  // A call, whole.
  Json call(const ToolCall& call, size_t index) const {
    Json json = tool_call_json(call);
    json["index"] = index;
    Json list = Json::array();
    list.push_back(std::move(json));
    return one_choice("delta", Json{{"tool_calls", std::move(list)}}, nullptr);
  }
  Json last(const ChatResult& result) const {
    if (!is_chat) return one_choice("text", "", finish_of(result));
    Json delta = Json::object();
    if (result.answer) delta["annotations"] = annotations_json(result);
    return one_choice("delta", std::move(delta), finish_of(result));
  }
  Json whole(const ChatResult& result) const {
    if (!is_chat) return one_choice("text", result.text, finish_of(result));
    Json message{{"role", "assistant"},
                 {"content", result.text},
                 {"refusal", nullptr},
                 {"annotations", annotations_json(result)}};
    if (!result.calls.empty()) {
      if (result.text.empty()) message["content"] = nullptr;
      message["tool_calls"] = Json::array();
      for (const ToolCall& call : result.calls) message["tool_calls"].push_back(tool_call_json(call));
    }
    return one_choice("message", std::move(message), finish_of(result));
  }
};
constexpr Shape kChat{"chatcmpl-", "chat.completion", "chat.completion.chunk", true};
constexpr Shape kText{"cmpl-", "text_completion", "text_completion", false};

void complete(Call& call, Service& service, const Fields& fields, ChatJob job, const Shape& shape) {
  const bool streamed = fields.flag("stream", false);
  bool with_usage = false;
  if (const Json* options = fields.find("stream_options"); options != nullptr && options->is_object())
    with_usage = Fields(*options).flag("include_usage", false);
  const std::string shown_model = fields.text_or("model", "");
  const auto chat = std::make_shared<PreparedChat>(service, std::move(job), call.cancel);
  Frame frame{shape.prefix + call.id.substr(0, 16), streamed ? shape.chunk_object : shape.object,
              shown_model.empty() ? chat->model() : shown_model};
  if (!streamed) {
    const ChatResult result = chat->run({}, call.cancel);
    Json json = frame.json(shape.whole(result));
    json["usage"] = usage_json(result);
    if (result.answer) json["lectern"] = answer_json(*result.answer, result.model);
    return call.reply(json);
  }
  const CancelToken cancel = call.cancel;
  stream(
      call, "text/event-stream",
      [chat, frame, shape, with_usage, cancel](EventWriter& writer) {
        const auto send = [&](Json choices) {
          Json chunk = frame.json(std::move(choices));
          if (with_usage) chunk["usage"] = nullptr;
          writer.data(chunk);
        };
        if (shape.is_chat) send(shape.piece("", true));
        size_t n_calls = 0;
        const ChatResult result =
            chat->run([&](std::string_view text) { send(shape.piece(std::string(text), false)); }, cancel,
                      [&](const ToolCall& tool_call) { send(shape.call(tool_call, n_calls++)); });
        Json last = frame.json(shape.last(result));
        if (with_usage) last["usage"] = nullptr;
        if (result.answer) last["lectern"] = answer_json(*result.answer, result.model);
        writer.data(last);
        if (with_usage) {
          Json usage = frame.json(Json::array());
          usage["usage"] = usage_json(result);
          writer.data(usage);
        }
        writer.raw("data: [DONE]\n\n");
      },
      [](EventWriter& writer, const ErrorReply& error) {
        writer.data(parse_json(error_body(error.status, error.message, error.code, error.param), "error"));
      });
}

void chat_completion(Call& call, Service& service, const Json& body) {
  const Fields fields(body);
  refuse_unsupported(fields);
  ChatJob job;
  read_model_name(fields, job);
  job.messages = read_messages(fields);
  job.generate = read_sampling(fields);
  job.generate.grammar = grammar_of(fields);
  job.tools = read_tools(fields, ToolForm::kNested);
  for (const char* name : {"response_format", "tools"}) {
    const bool given =
        name == std::string_view("tools") ? job.tools.offered() : job.generate.grammar != nullptr;
    if (job.collection && given)
      throw HttpError(
          400, "answers from documents have a form of their own: leave out \"" + std::string(name) + "\"",
          "unsupported_parameter", name);
  }
  if (job.tools.offered() && job.generate.grammar)
    throw HttpError(400, "an answer follows \"response_format\" or calls \"tools\": leave out one of them",
                    "unsupported_parameter", "response_format");
  complete(call, service, fields, std::move(job), kChat);
}

void text_completion(Call& call, Service& service, const Json& body) {
  const Fields fields(body);
  refuse_unsupported(fields);
  if (const Json* tools = fields.find("tools"); tools != nullptr && !tools->empty())
    throw HttpError(400, "\"tools\" are for /v1/chat/completions", "unsupported_parameter", "tools");
  ChatJob job;
  read_model_name(fields, job);
  if (job.collection)
    throw HttpError(400, "answers from documents are given by /v1/chat/completions", "unsupported_parameter",
                    "model");
  job.text = fields.text("prompt");
  job.generate = read_sampling(fields);
  complete(call, service, fields, std::move(job), kText);
}

}  // namespace

void add_openai_routes(Router& router, Service& service) {
  router.get("/v1/models", [&service](Call& call) {
    call.reply({{"object", "list"}, {"data", models_json(service)}});
  });
  router.get("/v1/models/(.+)", [&service](Call& call) {
    const std::string id = call.path_part(1);
    for (const Json& model : models_json(service))
      if (model["id"] == id) return call.reply(model);
    throw HttpError(404, "there is no model \"" + id + "\"", "model_not_found", "model");
  });
  router.post("/v1/chat/completions",
              [&service](Call& call, const Json& body) { chat_completion(call, service, body); });
  router.post("/v1/completions",
              [&service](Call& call, const Json& body) { text_completion(call, service, body); });
}

}  // namespace lectern::server
