// Reads what an OpenAI-compatible server sends: the reply to /chat/completions, streamed or whole, and the
// fields of hostile JSON. Nothing here talks to a server.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/remote_body.h"
#include "agent/server_sent_events.h"
#include "base/json.h"

namespace lectern {

// The value under `key`, or at `index`; null where `json` is no such container or lacks it.
const Json& field(const Json& json, const char* key);
const Json& element(const Json& json, size_t index);
std::string text_of(const Json& json);  // "" unless it is a string
int64_t number_of(const Json& json);    // 0 unless it is a number within the range of int

// Passes a reply on without the beginning that it was asked to continue, where it repeats that.
class PrefixStripper {
 public:
  explicit PrefixStripper(std::string prefix) : prefix_(std::move(prefix)), decided_(prefix_.empty()) {}
  // What of the reply so far is known to be new.
  std::string feed(std::string_view text);
  std::string finish();

 private:
  std::string prefix_, pending_;
  bool decided_;
};

// Passes a reply on without what the model thought before it, `<think>...</think>` at its beginning, once or
// several times, which servers that do not set it apart (as reasoning_content) leave in.
class ThinkingStripper {
 public:
  // What of the reply so far is known not to be thought.
  std::string feed(std::string_view text);
  // The rest, when the reply ends.
  std::string finish();
  // It thought, and said nothing yet.
  bool only_thought() const { return has_thought_ && state_ != State::kReply; }

 private:
  enum class State { kUndecided, kThought, kReply };
  State state_ = State::kUndecided;
  bool has_thought_ = false;
  std::string pending_;  // the blanks and the part of a tag that may begin here
};

// One reply, fed with the bytes of the body.
class ChatReplyReader {
 public:
  // `origin` names the URL in errors. `on_text` returns false to stop. Text beyond `max_text_bytes` is not
  // taken: the reply ends there as truncated.
  ChatReplyReader(std::string origin, size_t max_text_bytes, std::function<bool(std::string_view)> on_text);

  // Throws Error: kCorrupt for what is no such reply, kResourceExhausted for a line without end. A reply that
  // is complete cannot be spoilt any more.
  BodyPart feed(std::string_view bytes, const std::string& content_type);
  // After the last byte. Throws Error(kUnavailable) when the server closed in the middle.
  void finish();

  bool stopped() const { return stopped_; }  // by on_text
  bool truncated() const { return truncated_; }
  bool has_text() const { return text_bytes_ > 0; }
  bool calls_tools() const { return calls_tools_; }
  // What the server reports instead of a reply, or in the middle of one; unchecked text. "" when nothing.
  const std::string& server_error() const { return server_error_; }
  int prompt_tokens = 0, cached_prompt_tokens = 0, new_tokens = 0;  // 0 where the server did not say

 private:
  bool is_over() const { return done_ || stopped_ || truncated_ || !server_error_.empty(); }
  bool on_event(std::string_view data);
  void read_usage(const Json& object);
  bool take(const Json& message);
  bool has_error(const Json& object);

  std::string origin_;
  size_t max_text_bytes_;
  std::function<bool(std::string_view)> on_text_;
  ServerSentEvents events_;
  std::string server_error_;
  std::string whole_;  // the body of a server that does not stream
  size_t text_bytes_ = 0;
  int64_t n_events_ = 0;
  bool streams_ = false, has_begun_ = false;
  bool done_ = false;  // finish_reason came, or the reply is whole
  bool stopped_ = false, truncated_ = false, calls_tools_ = false;
};

// The one of `choices` that a reply of free form names: the reply itself, or else the only one it begins
// with, without regard to case, quotes and blanks. "" when none.
std::string named_choice(const std::vector<std::string>& choices, std::string_view reply);

}  // namespace lectern
