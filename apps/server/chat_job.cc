#include "apps/server/chat_job.h"

#include "base/clock.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxMessages = 512;

std::string text_of(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return "";
  std::string text;
  if (content.is_array()) {
    for (const Json& part : content) {
      if (!part.is_object() || !part.contains("type") || part["type"] != "text" || !part.contains("text") ||
          !part["text"].is_string())
        throw HttpError(400,
                        "a part of a message is {\"type\": \"text\", \"text\"}: this model reads only text",
                        "invalid_value", "messages");
      text += part["text"].get<std::string>();
    }
    return text;
  }
  throw HttpError(400, "the content of a message is text", "invalid_value", "messages");
}

// The last user message is the question, those before it are the history.
AskRequest question_of(const ChatJob& job) {
  AskRequest request;
  if (job.messages.empty() || job.messages.back().role != Role::kUser)
    throw HttpError(400, "the last message must be the user's question", "invalid_value", "messages");
  request.question = job.messages.back().content;
  for (size_t i = 0; i + 1 < job.messages.size(); ++i) {
    const ChatMessage& message = job.messages[i];
    if (message.role == Role::kSystem) continue;  // how answers are given is the agent's business
    request.history.push_back(
        {message.role == Role::kUser ? LmMessage::Role::kUser : LmMessage::Role::kAssistant,
         message.content});
  }
  request.max_answer_tokens = job.generate.max_new_tokens;
  request.seed = job.generate.sampling.seed;
  return request;
}

}  // namespace

void read_model_name(const Fields& fields, ChatJob& job) {
  job.model = fields.text_or("model", "");
  if (job.model.ends_with(":latest")) job.model.resize(job.model.size() - 7);
  if (fields.find("collection") != nullptr) job.collection = fields.text_or("collection", "");
  if (job.model.ends_with(kRagSuffix)) {
    job.model.resize(job.model.size() - kRagSuffix.size());
    if (!job.collection) job.collection = "";
  }
}

std::vector<ChatMessage> read_messages(const Fields& fields) {
  const Json* json = fields.find("messages");
  if (json == nullptr || !json->is_array() || json->empty() || json->size() > kMaxMessages)
    throw HttpError(400,
                    "\"messages\" must be an array of 1 to " + std::to_string(kMaxMessages) + " messages",
                    "invalid_value", "messages");
  std::vector<ChatMessage> out;
  for (const Json& message : *json) {
    if (!message.is_object()) throw HttpError(400, "a message is an object", "invalid_value", "messages");
    const std::string role = Fields(message).text("role");
    ChatMessage turn;
    if (role == "system" || role == "developer") {
      turn.role = Role::kSystem;
    } else if (role == "assistant") {
      turn.role = Role::kAssistant;
    } else if (role != "user") {
      throw HttpError(400, "the role \"" + role + "\" is not known here", "invalid_value", "messages");
    }
    turn.content = text_of(message.contains("content") ? message["content"] : Json(nullptr));
    out.push_back(std::move(turn));
  }
  return out;
}

PreparedChat::PreparedChat(Service& service, ChatJob job, const CancelToken& cancel)
    : service_(&service), job_(std::move(job)) {
  if (job_.collection) {
    service.collection(*job_.collection);
    model_ = service.models().check(job_.model);
    question_ = question_of(job_);
    return;
  }
  lease_.emplace(service.models().acquire(job_.model, {}, cancel));
  model_ = lease_->id();
  const Engine& engine = lease_->engine();
  job_.generate.prompt = job_.messages.empty() ? engine.tokenizer().encode(job_.text)
                                               : engine.chat_template().render(job_.messages);
  const int n = static_cast<int>(job_.generate.prompt.size());
  if (n == 0) throw HttpError(400, "the prompt is empty", "invalid_value", "prompt");
  if (n + 1 > engine.context_tokens())
    throw HttpError(400,
                    "the prompt has " + std::to_string(n) + " tokens, and the context of the model " +
                        std::to_string(engine.context_tokens()),
                    "context_length_exceeded", job_.messages.empty() ? "prompt" : "messages");
}

ChatResult PreparedChat::run(const std::function<void(std::string_view)>& on_text,
                             const CancelToken& cancel) {
  const Stopwatch watch;
  ChatResult result;
  result.model = model_;
  const auto pass_on = [&](std::string_view text) {
    if (on_text && !text.empty()) on_text(text);
    return !cancel.cancelled();
  };
  if (job_.collection) {
    AskEvents events;
    events.on_text = pass_on;
    Service::Asked asked =
        service_->ask(service_->collection(*job_.collection), job_.model, question_, events, cancel);
    result.text = asked.answer.text;
    result.prompt_tokens = asked.answer.trace.prompt_tokens;
    result.new_tokens = asked.answer.trace.new_tokens;
    result.answer = std::move(asked.answer);
  } else {
    const GenerateResult done = lease_->engine().generate(job_.generate, pass_on, cancel);
    cancel.throw_if_cancelled();
    result.text = done.text;
    result.truncated = done.finish_reason == FinishReason::kLength;
    result.prompt_tokens = done.prompt_tokens;
    result.cached_prompt_tokens = done.cached_prompt_tokens;
    result.new_tokens = done.new_tokens;
  }
  result.seconds = watch.seconds();
  return result;
}

}  // namespace lectern::server
