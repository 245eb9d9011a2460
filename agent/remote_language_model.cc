#include "agent/remote_language_model.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <cmath>
#include <exception>
#include <thread>

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
constexpr int kTopLogprobs = 20;       // the most that the protocol allows

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

bool is_success(const HttpReply& reply) {
  return reply.status >= 200 && reply.status < 300;
}

// The server understood who asks and for what, and does not take the request as it is. llama-cpp-python
// answers 500 to fields that it does not support.
bool is_refusal(int status) {
  return status == 400 || status == 415 || status == 422 || status == 500 || status == 501;
}

std::string plain_text(const LmRequest& request) {
  std::string text;
  for (const LmMessage& message : request.messages) text += message.content + "\n\n";
  return text + request.assistant_prefix;
}

}  // namespace

// Holds one of the places for requests under way.
class RemoteLanguageModel::Slot {
 public:
  Slot(RemoteLanguageModel& model, const CancelToken& cancel) : model_(model) {
    std::unique_lock lock(model.mutex_);
    while (model.n_running_ >= model.max_concurrent_) {
      cancel.throw_if_cancelled();
      model.slot_free_.wait_for(lock, std::chrono::milliseconds(20));
    }
    ++model.n_running_;
  }
  ~Slot() {
    const std::lock_guard lock(model_.mutex_);
    --model_.n_running_;
    model_.slot_free_.notify_one();
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  RemoteLanguageModel& model_;
};

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

HttpReply RemoteLanguageModel::post(const char* path, Json body, const RemoteHttp::OnBody& on_body,
                                    const CancelToken& cancel) {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      for (const std::string& name : refused_fields_) body.erase(name);
      if (renames_max_tokens_ && body.contains("max_tokens")) {
        body["max_completion_tokens"] = body["max_tokens"];
        body.erase("max_tokens");
      }
    }
    const bool may_be_refused = body.contains("response_format") || body.contains("logprobs");
    HttpReply reply =
        http_.send({.path = path, .body = body, .may_be_refused = may_be_refused}, on_body, cancel);
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
  PrefixStripper stripper(request.assistant_prefix);
  ChatReplyReader reader(
      http_.shown_url(where),
      kMaxBytesOfToken * static_cast<size_t>(std::max(request.max_new_tokens, 0)) + kMaxBytesOfToken,
      [&](std::string_view text) { return give(stripper.feed(text)); });
  const auto on_body = [&](std::string_view bytes, const std::string& content_type) {
    return reader.feed(bytes, content_type);
  };
  out.http = post(where.path.c_str(), std::move(body), on_body, cancel);
  if (!is_success(out.http)) return out;
  reader.finish();
  if (!reader.server_error().empty()) {
    throw Error(ErrorCode::kUnavailable, http_.shown_url(where) + ": the server reports an error: " +
                                             http_.said(reader.server_error()) +
                                             "; look at the server's own log");
  }
  if (!reader.stopped()) give(stripper.finish());
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
  LmRequest sent = request;
  if (!request.assistant_prefix.empty()) {
    instruct(sent.messages, "Your reply has already begun. Continue it from here, without repeating it:\n" +
                                request.assistant_prefix);
  }
  const Completion done = complete(body_of(sent), sent, on_text, cancel);
  if (!is_success(done.http)) throw_http_error(http_, {.path = "/chat/completions", .body = {}}, done.http);
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
    if (!is_success(done.http)) {
      if (!is_refusal(done.http.status) || mode == JsonMode::kPrompt)
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
      if (mode > json_mode_.load()) json_mode_ = mode;
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

// --- Scores ---

std::vector<double> RemoteLanguageModel::score(std::span<const LmRequest> requests,
                                               std::string_view continuation, const CancelToken& cancel) {
  std::vector<double> out(requests.size());
  if (requests.empty()) return out;
  out[0] = score_one(requests[0], continuation, cancel);  // finds out what the server offers
  std::atomic<size_t> next{1};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < requests.size(); i = next++)
        out[i] = score_one(requests[i], continuation, cancel);
    } catch (...) {
      next = requests.size();
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    const size_t n = std::min<size_t>(static_cast<size_t>(max_concurrent_), requests.size() - 1);
    for (size_t i = 1; i < n; ++i) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  return out;
}

double RemoteLanguageModel::score_one(const LmRequest& request, std::string_view continuation,
                                      const CancelToken& cancel) {
  if (continuation.empty()) return 0;
  if (score_mode_ == ScoreMode::kUnknown)
    score_mode_ = echoes_soundly(cancel) ? ScoreMode::kEcho : ScoreMode::kFirstToken;
  if (score_mode_ == ScoreMode::kEcho) {
    if (const auto score = score_by_echo(plain_text(request), continuation, cancel)) return *score;
    score_mode_ = ScoreMode::kFirstToken;
  }
  const bool one_word = continuation.size() <= 16 && continuation.find_last_of(" \n\t") == std::string::npos;
  if (score_mode_ == ScoreMode::kFirstToken && one_word) {
    if (const auto score = score_first_token(request, continuation, cancel)) return *score;
    score_mode_ = ScoreMode::kNone;
  }
  throw Error(ErrorCode::kUnsupported, http_.shown_url({.path = "", .body = {}}) +
                                           ": the server gives no log-probabilities that texts can be scored "
                                           "with; use llama.cpp or vLLM, or a local model");
}

// Some servers give each token the probabilities of the place after it (llama-cpp-python 0.3.36). Every model
// goes on with a sequence that it has just read, so a low score for that shows it.
bool RemoteLanguageModel::echoes_soundly(const CancelToken& cancel) {
  constexpr double kSureMeanLogProbability = -1.5;
  const std::string sequence = " one two three four five six seven eight nine ten";
  const std::optional<double> score = score_by_echo("Count:" + sequence, sequence, cancel);
  return score && *score > kSureMeanLogProbability;
}

std::optional<double> RemoteLanguageModel::score_by_echo(const std::string& prompt,
                                                         std::string_view continuation,
                                                         const CancelToken& cancel) {
  const std::string whole = utf8::repair(prompt + std::string(continuation));
  const Slot slot(*this, cancel);
  const HttpRequest where{.path = "/completions",
                          .body = Json{{"model", info_.name},
                                       {"prompt", whole},
                                       {"max_tokens", 1},
                                       {"temperature", 0},
                                       {"echo", true},
                                       {"logprobs", 1}},
                          .may_be_refused = true};
  const HttpReply reply = http_.send(where, {}, cancel);
  if (is_refusal(reply.status) || reply.status == 404 || reply.status == 405) return std::nullopt;
  if (!is_success(reply)) throw_http_error(http_, where, reply);
  const Json body = parse_json(reply.body, http_.shown_url(where) + ": the reply");
  const Json& logprobs = field(element(field(body, "choices"), 0), "logprobs");
  const std::vector<double> values = numbers_of(field(logprobs, "token_logprobs"));
  const std::vector<double> offsets = numbers_of(field(logprobs, "text_offset"));
  if (values.empty() || values.size() != offsets.size()) return std::nullopt;
  // Offsets count characters. A token that reaches over the border belongs to the continuation, and the token
  // that had to be generated does not.
  const auto begin = static_cast<double>(utf8::count(prompt)), end = static_cast<double>(utf8::count(whole));
  if (offsets.front() >= begin && begin > 0) return std::nullopt;  // it did not echo
  double sum = 0;
  int n = 0;
  for (size_t i = 0; i < values.size() && offsets[i] < end; ++i) {
    const double token_end = i + 1 < offsets.size() ? offsets[i + 1] : end;
    if (token_end <= begin) continue;
    sum += values[i];
    ++n;
  }
  if (n == 0) return std::nullopt;
  return sum / n;
}

std::optional<double> RemoteLanguageModel::score_first_token(const LmRequest& request,
                                                             std::string_view continuation,
                                                             const CancelToken& cancel) {
  LmRequest sent = request;
  sent.max_new_tokens = 1;
  if (!request.assistant_prefix.empty())
    instruct(sent.messages, "Your reply has already begun. Continue it from here, without repeating it:\n" +
                                request.assistant_prefix);
  Json body = body_of(sent);
  body["logprobs"] = true;
  body["top_logprobs"] = kTopLogprobs;
  const Slot slot(*this, cancel);
  const HttpRequest where{.path = "/chat/completions", .body = {}};
  const HttpReply reply = post(where.path.c_str(), std::move(body), {}, cancel);
  if (is_refusal(reply.status)) return std::nullopt;
  if (!is_success(reply)) throw_http_error(http_, where, reply);
  const Json answer = parse_json(reply.body, http_.shown_url(where) + ": the reply");
  const Json& first = element(field(field(element(field(answer, "choices"), 0), "logprobs"), "content"), 0);
  const Json& top = field(first, "top_logprobs");
  if (!top.is_array() || top.empty()) return std::nullopt;
  double best = -INFINITY, least = 0;
  for (const Json& item : top) {
    std::string token = text_of(field(item, "token"));
    token.erase(0, std::min(token.find_first_not_of(' '), token.size()));
    const Json& logprob = field(item, "logprob");
    if (!logprob.is_number()) continue;
    least = std::min(least, logprob.get<double>());
    if (!token.empty() && continuation.starts_with(token)) best = std::max(best, logprob.get<double>());
  }
  return std::isfinite(best) ? best
                             : least;  // not among the likeliest: at most as likely as the last of them
}

}  // namespace lectern
