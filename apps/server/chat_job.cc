#include "apps/server/chat_job.h"

#include "base/clock.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxMessages = 512;
constexpr int64_t kNoDocument = -1;  // a restriction that leaves nothing

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

// The arguments are JSON in a string (OpenAI) or an object (Ollama).
std::vector<ToolCall> calls_of(const Json& json) {
  const auto fail = [](const std::string& why) { throw HttpError(400, why, "invalid_value", "messages"); };
  std::vector<ToolCall> calls;
  if (json.is_null()) return calls;
  if (!json.is_array() || json.size() > kMaxTools) fail("\"tool_calls\" must be an array");
  for (const Json& item : json) {
    const Json* function = item.is_object() ? Fields(item).find("function") : nullptr;
    if (function == nullptr || !function->is_object())
      fail("a tool call is {\"function\": {\"name\", \"arguments\"}}");
    ToolCall call;
    call.name = Fields(*function).text("name");
    if (const Json* arguments = Fields(*function).find("arguments")) call.arguments = *arguments;
    if (call.arguments.is_string()) {
      try {
        const auto text = call.arguments.get<std::string>();
        call.arguments = text.empty() ? Json::object() : parse_json(text, "the arguments of a tool call");
      } catch (const Error& error) {
        fail(error.what());
      }
    }
    if (!call.arguments.is_object()) fail("the arguments of a tool call are an object");
    calls.push_back(std::move(call));
  }
  return calls;
}

// The last user message is the question, those before it are the history.
AskRequest question_of(const ChatJob& job) {
  AskRequest request;
  if (job.messages.empty() || job.messages.back().role != Role::kUser)
    throw HttpError(400, "the last message must be the user's question", "invalid_value", "messages");
  request.question = job.messages.back().content;
  for (size_t i = 0; i + 1 < job.messages.size(); ++i) {
    const ChatMessage& message = job.messages[i];
    if (message.role == Role::kSystem || message.role == Role::kTool)
      continue;  // how answers are given is the agent's business
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
      if (message.contains("tool_calls")) turn.tool_calls = calls_of(message["tool_calls"]);
    } else if (role == "tool") {
      turn.role = Role::kTool;
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
    collection_ = service.collection(*job_.collection);
    model_ = service.models().check(job_.model);
    question_ = question_of(job_);
    question_.max_passages = job_.max_passages;
    if (!collection_->is_store && !job_.filter) return;
    const StoreView view = store_view(service, collection_->id);
    for (auto& [document, file] : searchable_files(service, view, job_.filter ? &*job_.filter : nullptr)) {
      documents_.push_back(document);
      files_.emplace(document, std::move(file.file));
    }
    if (documents_.empty()) documents_.push_back(kNoDocument);
    return;
  }
  lease_.emplace(service.models().acquire(job_.model, {}, cancel));
  model_ = lease_->id();
  const Engine& engine = lease_->engine();
  std::vector<Json> tools;
  if (job_.tools.offered())
    for (const Tool& tool : job_.tools.tools) tools.push_back(tool.described);
  job_.generate.prompt = job_.messages.empty() ? engine.tokenizer().encode(job_.text)
                                               : engine.chat_template().render(job_.messages, tools);
  const int n = static_cast<int>(job_.generate.prompt.size());
  if (n == 0) throw HttpError(400, "the prompt is empty", "invalid_value", "prompt");
  if (n + 1 > engine.context_tokens())
    throw HttpError(400,
                    "the prompt has " + std::to_string(n) + " tokens, and the context of the model " +
                        std::to_string(engine.context_tokens()),
                    "context_length_exceeded", job_.messages.empty() ? "prompt" : "messages");
}

std::pair<std::string, std::string> ChatResult::file_of(const SourcePassage& passage) const {
  const auto found = files.find(passage.document_id);
  if (found == files.end()) return {std::to_string(passage.document_id), passage.path};
  return {found->second.id, found->second.filename};
}

ChatResult PreparedChat::run(const std::function<void(std::string_view)>& on_text, const CancelToken& cancel,
                             const ToolCallParser::OnCall& on_call) {
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
    Service::Asked asked = service_->ask(*collection_, job_.model, question_, events, cancel, documents_);
    result.files = files_;
    result.text = asked.answer.text;
    result.truncated = asked.answer.cut == AnswerCut::kLimit;
    result.prompt_tokens = asked.answer.trace.prompt_tokens;
    result.new_tokens = asked.answer.trace.new_tokens;
    result.answer = std::move(asked.answer);
  } else if (job_.tools.forced()) {
    generate_forced_call(result, cancel, on_call);
    pass_on(result.text);
  } else {
    generate(result, pass_on, cancel, on_call);
  }
  result.seconds = watch.seconds();
  return result;
}

namespace {

void add_counts(ChatResult& result, const GenerateResult& done) {
  result.truncated = done.finish_reason == FinishReason::kLength;
  result.prompt_tokens = done.prompt_tokens;
  result.cached_prompt_tokens = done.cached_prompt_tokens;
  result.new_tokens += done.new_tokens;
}

}  // namespace

void PreparedChat::generate(ChatResult& result, const std::function<bool(std::string_view)>& pass_on,
                            const CancelToken& cancel, const ToolCallParser::OnCall& on_call) {
  std::string heard;
  for (const ChatMessage& message : job_.messages)
    if (message.role == Role::kUser || message.role == Role::kTool) heard += message.content + "\n";
  ToolCallParser parser(
      job_.tools, heard,
      [&](std::string_view text) {
        result.text += text;
        pass_on(text);
      },
      [&](const ToolCall& call) {
        result.calls.push_back(call);
        if (on_call) on_call(call);
      });
  const bool offered = job_.tools.offered();
  const auto split = [&](std::string_view text) {
    if (result.calls.empty() || job_.tools.parallel) parser.push(text);
    return !cancel.cancelled() && (result.calls.empty() || job_.tools.parallel);
  };
  const GenerateResult done = offered ? lease_->engine().generate(job_.generate, split, cancel)
                                      : lease_->engine().generate(job_.generate, pass_on, cancel);
  cancel.throw_if_cancelled();
  if (offered && (result.calls.empty() || job_.tools.parallel)) parser.finish();
  if (!offered) result.text = done.text;
  add_counts(result, done);
}

// Held to the form of a call: first the name is chosen, where there is a choice, then the arguments are
// written.
void PreparedChat::generate_forced_call(ChatResult& result, const CancelToken& cancel,
                                        const ToolCallParser::OnCall& on_call) {
  const Engine& engine = lease_->engine();
  const std::vector<int32_t> prompt = job_.generate.prompt;
  GenerateRequest request = job_.generate;
  request.stop.clear();
  const auto generate = [&](const std::string& begun) {
    request.prompt = prompt;
    engine.chat_template().begin_tool_call(begun, request.prompt);
    GenerateResult done = lease_->engine().generate(request, {}, cancel);
    cancel.throw_if_cancelled();
    add_counts(result, done);
    return done;
  };
  ToolCall call;
  call.name = job_.tools.named;
  if (call.name.empty() && job_.tools.tools.size() == 1) call.name = job_.tools.tools.front().name;
  if (call.name.empty()) {
    std::vector<std::string> names;
    for (const Tool& tool : job_.tools.tools) names.push_back(tool.name + '"');
    request.grammar = Grammar::choice(names);
    call.name = generate("{\"name\": \"").text;
    if (call.name.ends_with('"')) call.name.pop_back();
  }
  const Tool* tool = job_.tools.find(call.name);
  if (tool == nullptr) return;  // the limit of tokens was reached within the name
  request.grammar = arguments_grammar(*tool);
  const std::string begun = "{\"name\": \"" + call.name + "\", \"arguments\": ";
  const GenerateResult done = generate(begun);
  if (result.truncated) {  // half a call is shown, not given
    result.text = std::string(kToolCallBegin) + "\n" + begun + done.text;
    return;
  }
  call.arguments = parse_json(done.text, "the arguments of a call");
  result.calls.push_back(call);
  if (on_call) on_call(call);
}

}  // namespace lectern::server
