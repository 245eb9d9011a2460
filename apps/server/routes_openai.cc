// /v1/models, /v1/chat/completions, /v1/completions: as OpenAI's clients expect them.
#include <chrono>
#include <random>

#include "apps/server/chat_job.h"
#include "apps/server/routes.h"
#include "apps/server/wire.h"
#include "base/utf8.h"
#include "engine/grammar.h"

namespace lectern::server {
namespace {

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

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
  for (const char* name : {"tools", "functions"}) {
    const Json* value = fields.find(name);
    if (value != nullptr && !value->empty()) refuse(name, "are not supported");
  }
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
  const auto fail = [](const std::string& why) {
    throw HttpError(400, why, "invalid_value", "response_format");
  };
  if (!format->is_object()) fail("\"response_format\" must be an object");
  const std::string type = Fields(*format).text("type");
  if (type == "text") return nullptr;
  if (type != "json_schema")
    fail(
        "the type of \"response_format\" is text or json_schema; json_object has no shape to hold the model "
        "to");
  const Json* outer = Fields(*format).find("json_schema");
  const Json* schema = outer != nullptr && outer->is_object() ? Fields(*outer).find("schema") : nullptr;
  if (schema == nullptr) fail("\"response_format\" has no json_schema.schema");
  try {
    return Grammar::from_json_schema(*schema);
  } catch (const Error& error) {
    throw HttpError(400, error.what(), "invalid_value", "response_format");
  }
}

// Defaults as the Qwen2.5 models are published with.
GenerateRequest read_sampling(const Fields& fields) {
  GenerateRequest request;
  const int64_t most = fields.integer("max_tokens", 1024, 1, kMaxAnswerTokens);
  request.max_new_tokens =
      static_cast<int>(fields.integer("max_completion_tokens", most, 1, kMaxAnswerTokens));
  request.sampling.temperature = static_cast<float>(fields.number("temperature", 0.7, 0, 2));
  request.sampling.top_p = static_cast<float>(fields.number("top_p", 0.8, 0, 1));
  request.sampling.top_k = static_cast<int>(fields.integer("top_k", 20, 0, 1000));
  request.sampling.repetition_penalty = static_cast<float>(fields.number("repetition_penalty", 1, 0.1, 10));
  // Any seed of 64 bits, as a signed number; none: a new one each time.
  request.sampling.seed = fields.find("seed") == nullptr
                              ? std::random_device()()
                              : static_cast<uint64_t>(fields.integer("seed", 0, INT64_MIN, INT64_MAX));
  request.stop = fields.texts("stop", 16);
  for (const std::string& stop : request.stop)
    if (stop.empty() || stop.size() > 256)
      throw HttpError(400, "a stop string has 1 to 256 bytes", "invalid_value", "stop");
  return request;
}

Json usage_json(const ChatResult& result) {
  return {{"prompt_tokens", result.prompt_tokens},
          {"completion_tokens", result.new_tokens},
          {"total_tokens", result.prompt_tokens + result.new_tokens},
          {"prompt_tokens_details", {{"cached_tokens", result.cached_prompt_tokens}}}};
}

// file_citation as the Responses API writes it, with the quote and its place as well. `index` counts
// characters of the answer up to the marker.
Json annotations_json(const ChatResult& result) {
  Json list = Json::array();
  if (!result.answer) return list;
  for (const Citation& citation : result.answer->citations) {
    const size_t at = result.text.find("[" + std::to_string(citation.number) + "]");
    Json json{
        {"type", "file_citation"},
        {"index", at == std::string::npos ? 0 : utf8::count(std::string_view(result.text).substr(0, at))},
        {"file_id", std::to_string(citation.passage.document_id)},
        {"filename", citation.passage.path}};
    json.update(citation_json(citation));
    list.push_back(std::move(json));
  }
  return list;
}

const char* finish_of(const ChatResult& result) {
  return result.truncated ? "length" : "stop";
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
  Json last(const ChatResult& result) const {
    if (!is_chat) return one_choice("text", "", finish_of(result));
    Json delta = Json::object();
    if (result.answer) delta["annotations"] = annotations_json(result);
    return one_choice("delta", std::move(delta), finish_of(result));
  }
  Json whole(const ChatResult& result) const {
    if (!is_chat) return one_choice("text", result.text, finish_of(result));
    return one_choice("message",
                      Json{{"role", "assistant"},
                           {"content", result.text},
                           {"refusal", nullptr},
                           {"annotations", annotations_json(result)}},
                      finish_of(result));
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
        const ChatResult result =
            chat->run([&](std::string_view text) { send(shape.piece(std::string(text), false)); }, cancel);
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
  if (job.collection && job.generate.grammar)
    throw HttpError(400, "answers from documents have a form of their own: leave out \"response_format\"",
                    "unsupported_parameter", "response_format");
  complete(call, service, fields, std::move(job), kChat);
}

void text_completion(Call& call, Service& service, const Json& body) {
  const Fields fields(body);
  refuse_unsupported(fields);
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
