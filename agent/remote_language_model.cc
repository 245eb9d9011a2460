#include "agent/remote_language_model.h"

#include <algorithm>
#include <chrono>
#include <climits>

#include "agent/remote_reply.h"
#include "agent/reply_json.h"
#include "agent/token_estimate.h"
#include "base/clock.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// What chat templates add to a message, and to the whole: more than any common one does.
constexpr int kTokensOfMessage = 8;
constexpr int kTokensOfTemplate = 32;
// No token is longer in practice; a reply beyond it comes from a server that ignores max_tokens.
constexpr size_t kMaxBytesOfToken = 64;
constexpr size_t kMaxCounts = 20'000;  // remembered token counts

const char* role_name(LmMessage::Role role) {
  return role == LmMessage::Role::kSystem ? "system" : role == LmMessage::Role::kUser ? "user" : "assistant";
}

// Adds `text` to the last message of the user, where models heed it most.
void instruct(std::vector<LmMessage>& messages, const std::string& text) {
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    if (message->role != LmMessage::Role::kUser) continue;
    message->content += "\n\n" + text;
    return;
  }
  messages.push_back({LmMessage::Role::kUser, text});
}

// Choices are asked for as {"choice": ...}.
Json choice_schema(const std::vector<std::string>& choices) {
  return {{"type", "object"},
          {"properties", {{"choice", {{"type", "string"}, {"enum", choices}}}}},
          {"required", {"choice"}},
          {"additionalProperties", false}};
}

// The usable text of a structured reply; "" when there is none.
std::string structured_text(const LmRequest& request, const std::string& reply) {
  const std::optional<Json> object = reply_object(reply);
  if (!request.json_schema) {
    return named_choice(request.choices, object ? text_of(field(*object, "choice")) : reply);
  }
  if (!object) return {};
  const Json& properties = field(*request.json_schema, "properties");
  bool any = properties.empty();
  for (const auto& [key, unused] : properties.items()) any = any || object->contains(key);
  return any ? dump_json(*object) : std::string();
}

std::string format_instruction(const LmRequest& request) {
  if (request.json_schema)
    return "Reply with one JSON object and nothing else. It follows this JSON schema:\n" +
           dump_json(*request.json_schema);
  std::string text = "Reply with exactly one of these, and nothing else:";
  for (const std::string& choice : request.choices) text += "\n" + choice;
  return text;
}

}  // namespace

LmRequest RemoteLanguageModel::with_prefix_in_words(LmRequest request) {
  if (!request.assistant_prefix.empty()) {
    instruct(request.messages,
             "Your reply has already begun. Continue it from here, without repeating it:\n" +
                 request.assistant_prefix);
  }
  return request;
}

RemoteLanguageModel::Slot::Slot(RemoteLanguageModel& model, const CancelToken& cancel) : model_(model) {
  std::unique_lock lock(model.mutex_);
  while (model.n_running_ >= model.max_concurrent_) {
    cancel.throw_if_cancelled();
    model.slot_free_.wait_for(lock, std::chrono::milliseconds(20));
  }
  ++model.n_running_;
}

RemoteLanguageModel::Slot::~Slot() {
  const std::lock_guard lock(model_.mutex_);
  --model_.n_running_;
  model_.slot_free_.notify_one();
}

struct RemoteLanguageModel::Completion {
  LmReply reply;
  HttpReply http;
};

RemoteLanguageModel::RemoteLanguageModel(const RemoteOptions& options, const CancelToken& cancel)
    : http_(options.url, options.api_key, options.limits),
      info_(ask_about_model(http_, options.model, cancel)),
      max_concurrent_(std::max(1, options.max_concurrent)) {
  if (options.context_tokens > 0) info_.context_tokens = options.context_tokens;
  context_is_guessed_ = info_.context_tokens == 0;
  if (context_is_guessed_) info_.context_tokens = kGuessedContextTokens;
  for (const Tokenizer kind : {Tokenizer::kLlamaCpp, Tokenizer::kLlamaCppPython}) {
    cancel.throw_if_cancelled();
    if (!ask_tokenizer(kind, "one two")) continue;
    tokenizer_ = kind;
    break;
  }
}

// --- Tokens ---

std::optional<int> RemoteLanguageModel::ask_tokenizer(Tokenizer kind, std::string_view text) const {
  const std::string valid = utf8::repair(text);
  HttpRequest request{.path = "/tokenize", .body = {}, .from_root = true, .is_probe = true};
  if (kind == Tokenizer::kLlamaCpp) {  // vLLM's has the same path and other names
    request.body = Json{{"content", valid}, {"model", info_.name}, {"prompt", valid}};
  } else {
    request.path = "/extras/tokenize/count";
    request.body = Json{{"input", valid}};
  }
  try {
    const HttpReply reply = http_.send(request, {}, {});
    if (reply.status != 200) return std::nullopt;
    const Json body = parse_json(reply.body, "");
    const Json& tokens = field(body, "tokens");
    const int64_t n =
        tokens.is_array() ? static_cast<int64_t>(tokens.size()) : number_of(field(body, "count"));
    // Fewer than this cannot be: the server answers something else.
    if (n < static_cast<int64_t>(valid.size() / 256) || (n <= 0 && !valid.empty())) return std::nullopt;
    return static_cast<int>(n);
  } catch (const Error&) {
    return std::nullopt;
  }
}

int RemoteLanguageModel::count_tokens(std::string_view text) const {
  const Tokenizer kind = tokenizer_;
  if (kind == Tokenizer::kNone) return estimate_tokens(text);
  std::string key(text);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = counts_.find(key); known != counts_.end()) return known->second;
  }
  const std::optional<int> n = ask_tokenizer(kind, text);
  if (!n) return estimate_tokens(text);
  const std::lock_guard lock(mutex_);
  if (counts_.size() >= kMaxCounts) counts_.clear();
  counts_.emplace(std::move(key), *n);
  return *n;
}

int RemoteLanguageModel::count_tokens(const LmRequest& request) const {
  int64_t tokens = kTokensOfTemplate;
  for (const LmMessage& message : request.messages)
    tokens += kTokensOfMessage + count_tokens(message.content);
  if (!request.assistant_prefix.empty()) tokens += kTokensOfTemplate + count_tokens(request.assistant_prefix);
  if (request.json_schema || !request.choices.empty())
    tokens += kTokensOfTemplate + estimate_tokens(format_instruction(request));
  return static_cast<int>(std::min<int64_t>(tokens, INT_MAX));
}

// --- Requests ---

Json RemoteLanguageModel::body_of(const LmRequest& request) const {
  Json messages = Json::array();
  for (const LmMessage& message : request.messages)
    messages.push_back({{"role", role_name(message.role)}, {"content", message.content}});
  Json body = {{"model", info_.name},
               {"messages", std::move(messages)},
               {"max_tokens", request.max_new_tokens},
               {"temperature", request.temperature},
               {"seed", request.seed & INT_MAX}};
  if (!request.stop.empty()) body["stop"] = request.stop;
  return body;
}

// Takes from a refusal which field the server does not know, so that the request can go without it.
bool RemoteLanguageModel::adapt(const std::string& said, const Json& body) {
  const std::lock_guard lock(mutex_);
  if (!renames_max_tokens_ && body.contains("max_tokens") &&
      said.find("max_completion_tokens") != std::string::npos)
    return renames_max_tokens_ = true;
  for (const char* name : {"stream_options", "seed", "temperature", "stop"}) {
    if (!body.contains(name) || said.find(name) == std::string::npos) continue;
    if (refused_fields_.insert(name).second) return true;
  }
  return false;
}

HttpReply RemoteLanguageModel::post(HttpRequest request, const RemoteHttp::OnBody& on_body,
                                    const CancelToken& cancel) {
  Json& body = *request.body;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      for (const std::string& name : refused_fields_) body.erase(name);
      if (renames_max_tokens_ && body.contains("max_tokens")) {
        body["max_completion_tokens"] = body["max_tokens"];
        body.erase("max_tokens");
      }
    }
    request.may_be_refused = body.contains("response_format") || body.contains("logprobs");
    HttpReply reply = http_.send(request, on_body, cancel);
    if ((reply.status != 400 && reply.status != 422) || !adapt(reply.body, body)) return reply;
  }
}

RemoteLanguageModel::Completion RemoteLanguageModel::complete(Json body, const LmRequest& request,
                                                              const LmTextCallback& on_text,
                                                              const CancelToken& cancel) {
  const Slot slot(*this, cancel);
  const Stopwatch watch;
  const HttpRequest where{.path = "/chat/completions", .body = {}};
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  Completion out;
  const auto give = [&](std::string_view text) {
    out.reply.text += text;
    return text.empty() || !on_text || on_text(text);
  };
  ThinkingStripper thinking;
  PrefixStripper stripper(request.assistant_prefix);
  ChatReplyReader reader(
      http_.shown_url(where),
      kMaxBytesOfToken * static_cast<size_t>(std::max(request.max_new_tokens, 0)) + kMaxBytesOfToken,
      [&](std::string_view text) { return give(stripper.feed(thinking.feed(text))); });
  const auto on_body = [&](std::string_view bytes, const std::string& content_type) {
    return reader.feed(bytes, content_type);
  };
  out.http = post({.path = where.path,
                   .body = std::move(body),
                   .more_seconds = static_cast<double>(std::max(request.max_new_tokens, 0))},
                  on_body, cancel);
  if (!out.http.is_success()) return out;
  reader.finish();
  if (!reader.server_error().empty()) {
    throw Error(ErrorCode::kUnavailable, http_.shown_url(where) + ": the server reports an error: " +
                                             http_.said(reader.server_error()) +
                                             "; look at the server's own log");
  }
  // Of a structured reply the form is looked at; one that a stop string ended may be empty.
  const bool may_be_empty = request.json_schema || !request.choices.empty() || !request.stop.empty();
  if (!reader.stopped()) {
    give(stripper.feed(thinking.finish()));
    give(stripper.finish());
  }
  const bool has_text = reader.has_text() && !thinking.only_thought();
  if (!has_text && (reader.calls_tools() || !may_be_empty)) {
    throw Error(reader.truncated() ? ErrorCode::kResourceExhausted : ErrorCode::kCorrupt,
                http_.shown_url(where) + ": the reply of " + http_.said(info_.name) + " holds no text" +
                    (reader.calls_tools()      ? ", only calls of tools, which it was not offered"
                     : thinking.only_thought() ? ", only what it thought"
                                               : "") +
                    (reader.truncated() ? "; allow it more tokens with --max-tokens, or use another model"
                                        : "; use another model, or look at the server's own log"));
  }
  out.reply.truncated = reader.truncated();
  out.reply.prompt_tokens = reader.prompt_tokens > 0 ? reader.prompt_tokens : count_tokens(request);
  out.reply.cached_prompt_tokens = reader.cached_prompt_tokens;
  out.reply.new_tokens = reader.new_tokens > 0 ? reader.new_tokens : estimate_tokens(out.reply.text);
  out.reply.seconds = watch.seconds();
  return out;
}

LmReply RemoteLanguageModel::chat(const LmRequest& request, const LmTextCallback& on_text,
                                  const CancelToken& cancel) {
  if (request.json_schema || !request.choices.empty()) return chat_structured(request, on_text, cancel);
  const LmRequest sent = with_prefix_in_words(request);
  const Completion done = complete(body_of(sent), sent, on_text, cancel);
  if (!done.http.is_success()) throw_http_error(http_, {.path = "/chat/completions", .body = {}}, done.http);
  return done.reply;
}

// From the strictest form that the server takes to words alone; a reply that is not of the form is asked for
// once more.
LmReply RemoteLanguageModel::chat_structured(const LmRequest& request, const LmTextCallback& on_text,
                                             const CancelToken& cancel) {
  LmRequest plain = request;
  plain.assistant_prefix.clear();
  const bool is_choice = !request.json_schema;
  const Json schema = is_choice ? choice_schema(request.choices) : *request.json_schema;
  if (is_choice) plain.max_new_tokens = std::max(request.max_new_tokens, 32);  // for {"choice": ...}
  LmReply total;
  JsonMode mode = json_mode_;
  for (bool repaired = false;;) {
    if (is_choice && mode == JsonMode::kObject) mode = JsonMode::kPrompt;  // words say it as well
    LmRequest sent = plain;
    if (mode != JsonMode::kSchema) instruct(sent.messages, format_instruction(request));
    Json body = body_of(sent);
    if (mode == JsonMode::kSchema) {
      body["response_format"] = {{"type", "json_schema"},
                                 {"json_schema", {{"name", "reply"}, {"schema", schema}}}};
    }
    if (mode == JsonMode::kObject) body["response_format"] = {{"type", "json_object"}};
    const auto next = [](JsonMode m) {
      return m == JsonMode::kSchema ? JsonMode::kObject : JsonMode::kPrompt;
    };

    Completion done = complete(std::move(body), sent, {}, cancel);
    if (!done.http.is_success()) {
      if (!is_refusal(done.http) || mode == JsonMode::kPrompt)
        throw_http_error(http_, {.path = "/chat/completions", .body = {}}, done.http);
      mode = next(mode);
      continue;
    }
    total.prompt_tokens += done.reply.prompt_tokens;
    total.cached_prompt_tokens += done.reply.cached_prompt_tokens;
    total.new_tokens += done.reply.new_tokens;
    total.seconds += done.reply.seconds;
    total.truncated = done.reply.truncated;
    total.text = structured_text(request, done.reply.text);
    if (!total.text.empty()) {
      total.truncated = false;  // it is whole
      // Choices leave out json_object, which may work.
      const JsonMode known = is_choice && mode == JsonMode::kPrompt ? JsonMode::kObject : mode;
      if (known > json_mode_.load()) json_mode_ = known;
      break;
    }
    if (total.truncated && request.json_schema) {
      total.text = done.reply.text;
      return total;
    }
    if (mode != JsonMode::kPrompt) {  // taken, and not heeded
      mode = JsonMode::kPrompt;
    } else if (!repaired) {
      repaired = true;
      plain.messages.push_back({LmMessage::Role::kAssistant, done.reply.text});
      plain.messages.push_back({LmMessage::Role::kUser, "That reply does not have the form asked for."});
    } else if (request.json_schema) {
      total.text = done.reply.text;  // the agent has a fallback for every such call
      return total;
    } else {
      throw Error(ErrorCode::kCorrupt, info_.name + " at " + http_.shown_url({.path = "", .body = {}}) +
                                           " gave none of the replies it may give, but: " +
                                           http_.said(done.reply.text) + "; use a larger model");
    }
  }
  if (on_text) on_text(total.text);
  return total;
}

}  // namespace lectern
