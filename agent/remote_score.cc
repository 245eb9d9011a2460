// How likely a remote model finds a text: RemoteLanguageModel::score.
#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>

#include "agent/remote_language_model.h"
#include "agent/remote_reply.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr int kTopLogprobs = 20;  // the most that the protocol allows

std::string plain_text(const LmRequest& request) {
  std::string text;
  for (const LmMessage& message : request.messages) text += message.content + "\n\n";
  return text + request.assistant_prefix;
}

// Every server rounds, so a probability may seem to be a little above 1.
constexpr double kRounding = 1e-4;

[[noreturn]] void fail_unusable(const std::string& origin, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, origin + ": the server's log-probabilities are not usable: " + why +
                                       "; use llama.cpp or vLLM, or a local model");
}

double checked_number(const Json& json, const std::string& origin) {
  const double value = json.is_number() ? json.get<double>() : NAN;
  if (!std::isfinite(value)) fail_unusable(origin, "one is no number, or none that is finite");
  return value;
}

double checked_logprob(const Json& json, const std::string& origin) {
  const double value = checked_number(json, origin);
  if (value > kRounding) fail_unusable(origin, "one is above 0");
  return std::min(value, 0.0);
}

}  // namespace

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
  if (is_refusal(reply) || reply.status == 404 || reply.status == 405) return std::nullopt;
  if (!reply.is_success()) throw_http_error(http_, where, reply);
  const Json body = parse_json(reply.body, http_.shown_url(where) + ": the reply");
  const Json& logprobs = field(element(field(body, "choices"), 0), "logprobs");
  const std::string origin = http_.shown_url(where);
  const Json& values = field(logprobs, "token_logprobs");
  std::vector<double> offsets;
  for (const Json& offset : field(logprobs, "text_offset")) offsets.push_back(checked_number(offset, origin));
  if (!values.is_array() || values.empty() || values.size() != offsets.size()) return std::nullopt;
  // Offsets count characters. A token that reaches over the border belongs to the continuation, and the token
  // that had to be generated does not.
  const auto begin = static_cast<double>(utf8::count(prompt)), end = static_cast<double>(utf8::count(whole));
  if (offsets.front() >= begin && begin > 0) return std::nullopt;  // it did not echo
  double sum = 0;
  int n = 0;
  for (size_t i = 0; i < values.size() && offsets[i] < end; ++i) {
    const double token_end = i + 1 < offsets.size() ? offsets[i + 1] : end;
    if (token_end <= begin) continue;
    sum += checked_logprob(values[i], origin);  // the first of all is null: nothing is before it
    ++n;
  }
  if (n == 0) return std::nullopt;
  return checked_logprob(sum / n, origin);
}

std::optional<double> RemoteLanguageModel::score_first_token(const LmRequest& request,
                                                             std::string_view continuation,
                                                             const CancelToken& cancel) {
  LmRequest sent = with_prefix_in_words(request);
  sent.max_new_tokens = 1;
  Json body = body_of(sent);
  body["logprobs"] = true;
  body["top_logprobs"] = kTopLogprobs;
  const Slot slot(*this, cancel);
  const HttpRequest where{.path = "/chat/completions", .body = {}};
  const HttpReply reply = post({.path = where.path, .body = std::move(body)}, {}, cancel);
  if (is_refusal(reply)) return std::nullopt;
  if (!reply.is_success()) throw_http_error(http_, where, reply);
  const Json answer = parse_json(reply.body, http_.shown_url(where) + ": the reply");
  const Json& first = element(field(field(element(field(answer, "choices"), 0), "logprobs"), "content"), 0);
  const Json& top = field(first, "top_logprobs");
  if (!top.is_array() || top.empty()) return std::nullopt;
  double best = -INFINITY, least = 0;
  for (const Json& item : top) {
    std::string token = text_of(field(item, "token"));
    token.erase(0, std::min(token.find_first_not_of(' '), token.size()));
    const double logprob = checked_logprob(field(item, "logprob"), http_.shown_url(where));
    least = std::min(least, logprob);
    if (!token.empty() && continuation.starts_with(token)) best = std::max(best, logprob);
  }
  return std::isfinite(best) ? best
                             : least;  // not among the likeliest: at most as likely as the last of them
}

}  // namespace lectern
