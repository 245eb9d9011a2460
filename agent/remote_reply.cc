#include "agent/remote_reply.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <utility>

#include "base/ascii.h"
#include "base/error.h"

namespace lectern {
namespace {

constexpr size_t kMaxEventBytes = 1 << 20;
constexpr const char* kBlanks = " \t\r\n";

const Json kNothing;

Json parse_reply(std::string_view text, const std::string& origin) {
  try {
    return parse_json(text, origin + ": the reply");
  } catch (const Error& error) {
    throw Error(error.code(), std::string(error.what()) + "; is this an OpenAI-compatible server?");
  }
}

// A message's text: a string, or a list of parts of which some are text.
std::string content_text(const Json& content) {
  if (!content.is_array()) return text_of(content);
  std::string text;
  for (const Json& part : content) {
    const std::string type = text_of(field(part, "type"));
    if (type.empty() || type == "text" || type == "output_text") text += text_of(field(part, "text"));
  }
  return text;
}

std::string folded(std::string_view text) {
  const char* const around = " \t\r\n\"'`*.";
  const size_t begin = text.find_first_not_of(around);
  if (begin == std::string_view::npos) return {};
  return ascii_lower(std::string(text.substr(begin, text.find_last_not_of(around) - begin + 1)));
}

}  // namespace

const Json& field(const Json& json, const char* key) {
  if (!json.is_object()) return kNothing;
  const auto found = json.find(key);
  return found == json.end() ? kNothing : *found;
}

const Json& element(const Json& json, size_t index) {
  return json.is_array() && index < json.size() ? json[index] : kNothing;
}

std::string text_of(const Json& json) {
  return json.is_string() ? json.get<std::string>() : std::string();
}

int64_t number_of(const Json& json) {
  const double value = json.is_number() ? json.get<double>() : 0;
  return std::isfinite(value) && std::abs(value) <= INT_MAX ? static_cast<int64_t>(value) : 0;
}

std::string PrefixStripper::feed(std::string_view text) {
  if (decided_) return std::string(text);
  pending_ += text;
  const size_t begin = std::min(pending_.find_first_not_of(kBlanks), pending_.size());
  const std::string_view reply = std::string_view(pending_).substr(begin);
  if (reply.size() < prefix_.size() && prefix_.starts_with(reply)) return {};
  decided_ = true;
  std::string out(reply.starts_with(prefix_) ? reply.substr(prefix_.size()) : std::string_view(pending_));
  pending_.clear();
  return out;
}

std::string PrefixStripper::finish() {
  decided_ = true;
  return std::exchange(pending_, {});
}

std::string ThinkingStripper::feed(std::string_view text) {
  static constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  if (state_ == State::kReply) return std::string(text);
  pending_ += text;
  while (true) {
    if (state_ == State::kThought) {
      const size_t close = pending_.find(kClose);
      if (close == std::string::npos) {
        // Only the beginning of the closing tag is worth keeping.
        pending_.erase(0, pending_.size() - std::min(pending_.size(), kClose.size() - 1));
        return {};
      }
      pending_.erase(0, close + kClose.size());
      state_ = State::kUndecided;
    }
    const size_t begin = std::min(pending_.find_first_not_of(kBlanks), pending_.size());
    const std::string_view reply = std::string_view(pending_).substr(begin);
    if (reply.size() < kOpen.size() && kOpen.starts_with(reply)) return {};
    if (!reply.starts_with(kOpen)) break;
    pending_.erase(0, begin + kOpen.size());
    state_ = State::kThought;
    has_thought_ = true;
  }
  state_ = State::kReply;
  if (has_thought_) pending_.erase(0, pending_.find_first_not_of(kBlanks));
  return std::exchange(pending_, {});
}

std::string ThinkingStripper::finish() {
  if (state_ != State::kUndecided) return {};
  const bool is_blank = pending_.find_first_not_of(kBlanks) == std::string::npos;
  if (has_thought_ && is_blank) return {};
  state_ = State::kReply;
  return std::exchange(pending_, {});
}

ChatReplyReader::ChatReplyReader(std::string origin, size_t max_text_bytes,
                                 std::function<bool(std::string_view)> on_text)
    : origin_(std::move(origin)),
      max_text_bytes_(max_text_bytes),
      on_text_(std::move(on_text)),
      events_(kMaxEventBytes) {}

BodyPart ChatReplyReader::feed(std::string_view bytes, const std::string& content_type) {
  streams_ = ascii_lower(content_type).starts_with("text/event-stream");
  if (!streams_) {  // bounded by the transfer's limit
    const BodyPart part = part_of_whole(has_begun_, bytes);
    has_begun_ = has_begun_ || part == BodyPart::kSome;
    whole_ += bytes;
    return part;
  }
  const int64_t n_before = n_events_;
  try {
    if (!events_.feed(bytes, [this](std::string_view data) { return on_event(data); }))
      return BodyPart::kEnough;
    if (done_) return BodyPart::kComplete;
    return n_events_ > n_before ? BodyPart::kSome : BodyPart::kNothing;
  } catch (const Error& error) {
    if (done_) return BodyPart::kEnough;
    if (error.code() != ErrorCode::kResourceExhausted) throw;
    throw Error(error.code(), origin_ + ": " + error.what() + "; is this an OpenAI-compatible server?");
  }
}

void ChatReplyReader::finish() {
  if (is_over()) return;
  if (streams_) {
    events_.finish([this](std::string_view data) { return on_event(data); });
    if (is_over()) return;
    throw Error(ErrorCode::kUnavailable,
                origin_ +
                    ": the server closed the connection in the middle of the reply; ask again, and look "
                    "at the server's own log");
  }
  const Json reply = parse_reply(whole_, origin_);
  if (has_error(reply)) return;
  const Json& choice = element(field(reply, "choices"), 0);
  const Json& message = field(choice, "message");
  if (!message.is_object()) {
    throw Error(ErrorCode::kCorrupt,
                origin_ + ": the reply holds no message; is this an OpenAI-compatible server?");
  }
  read_usage(reply);
  truncated_ = text_of(field(choice, "finish_reason")) == "length";
  done_ = true;
  take(message);
}

bool ChatReplyReader::on_event(std::string_view data) {
  ++n_events_;
  if (data == "[DONE]") {
    done_ = true;
    return false;
  }
  const Json event = parse_reply(data, origin_);
  if (done_) {
    read_usage(event);
    return true;
  }
  if (has_error(event)) return false;
  read_usage(event);
  const Json& choice = element(field(event, "choices"), 0);
  if (!take(field(choice, "delta"))) return false;
  const std::string reason = text_of(field(choice, "finish_reason"));
  done_ = !reason.empty();  // [DONE] or the usage may follow
  truncated_ = reason == "length";
  return true;
}

void ChatReplyReader::read_usage(const Json& object) {
  const Json& usage = field(object, "usage");
  if (!usage.is_object()) return;
  prompt_tokens = static_cast<int>(number_of(field(usage, "prompt_tokens")));
  new_tokens = static_cast<int>(number_of(field(usage, "completion_tokens")));
  cached_prompt_tokens =
      static_cast<int>(number_of(field(field(usage, "prompt_tokens_details"), "cached_tokens")));
}

bool ChatReplyReader::take(const Json& message) {
  const std::string text = content_text(field(message, "content"));
  calls_tools_ = calls_tools_ || !field(message, "tool_calls").empty();
  if (text.empty()) return true;
  text_bytes_ += text.size();
  if (text_bytes_ > max_text_bytes_) {
    truncated_ = true;
    return false;
  }
  stopped_ = !on_text_(text);
  return !stopped_;
}

bool ChatReplyReader::has_error(const Json& object) {
  const Json& error = field(object, "error");
  if (error.is_null() || error == false) return false;
  server_error_ = text_of(field(error, "message"));
  if (server_error_.empty()) server_error_ = dump_json(error);
  return true;
}

std::string named_choice(const std::vector<std::string>& choices, std::string_view reply) {
  const std::string said = folded(reply);
  const std::string* named = nullptr;
  for (const std::string& choice : choices) {
    const std::string wanted = folded(choice);
    if (said == wanted) return choice;
    if (wanted.empty() || !said.starts_with(wanted)) continue;
    const unsigned char next = static_cast<unsigned char>(said[wanted.size()]);
    const bool goes_on = (next >= 'a' && next <= 'z') || (next >= '0' && next <= '9') || next == '_';
    // Of choices that begin alike the longest is meant.
    if (!goes_on && (named == nullptr || choice.size() > named->size())) named = &choice;
  }
  return named == nullptr ? std::string() : *named;
}

}  // namespace lectern
