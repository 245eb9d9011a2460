// What the agent asks of a language model: one of its two interfaces. Implementations: our engine
// (engine_language_model.h) and, in tests, a scripted model. Thread-safety is the implementation's; the agent
// calls from one thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/json.h"

namespace lectern {

struct LmMessage {
  enum class Role { kSystem, kUser, kAssistant };
  Role role = Role::kUser;
  std::string content;
};

// How much of a request has been read.
struct PromptProgress {
  int tokens = 0, total = 0;
  double work = 0;  // share of the work, 0 to 1: the later a token, the longer it takes
};

struct LmRequest {
  std::string
      purpose;  // "split", "keywords", "answer", ...: names the call in the trace and in scripted tests
  std::vector<LmMessage> messages;
  std::string assistant_prefix;  // the beginning of the reply, already written
  int max_new_tokens = 512;
  float temperature = 0;
  uint64_t seed = 0;
  float repetition_penalty = 1.0f;
  std::vector<std::string> stop;
  std::optional<Json> json_schema;   // the reply is JSON of this shape
  std::vector<std::string> choices;  // the reply is one of these
  bool keep_prompt = false;  // for score(): will come again with other continuations; kept where that can be
  // For chat(): the first so many bytes of the last message, with all before them, will come again with other
  // endings; kept where that can be.
  size_t keep_bytes = 0;
  std::function<void(const PromptProgress&)> on_prompt_read;  // of chat(), where it can be told; may be empty
};

struct LmReply {
  std::string text;        // without assistant_prefix
  bool truncated = false;  // max_new_tokens was reached
  int prompt_tokens = 0, cached_prompt_tokens = 0, new_tokens = 0;
  double prefill_seconds = 0;  // of `seconds`, where it can be told
  double seconds = 0;
  std::string kept_problem;  // why what was kept could not be used, or nothing could be kept; "" as a rule
};

// false stops the reply.
using LmTextCallback = std::function<bool(std::string_view text)>;

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual std::string name() const = 0;
  // Tells models apart whose names are alike: what is kept of one is never used for another.
  virtual std::string fingerprint() { return name(); }
  // Parameters in billions; 0 when unknown. Small models are given less to read.
  virtual double billion_parameters() const { return 0; }
  // Positions the model really has, prompt and reply together.
  virtual int context_tokens() const = 0;
  virtual int count_tokens(std::string_view text) const = 0;
  // Tokens of the whole request as the model would see it, reply not included.
  virtual int count_tokens(const LmRequest& request) const = 0;

  // Whether the beginning of this request (keep_bytes) was kept, so that it need not be read again.
  virtual bool is_kept(const LmRequest& /*request*/) { return false; }

  virtual LmReply chat(const LmRequest& request, const LmTextCallback& on_text,
                       const CancelToken& cancel) = 0;

  // Mean log-probability per token of `continuation` as the reply to each request.
  virtual std::vector<double> score(std::span<const LmRequest> requests, std::string_view continuation,
                                    const CancelToken& cancel) = 0;

  // Log-probabilities that the reply to each request begins with each of `choices`, given that it is one of
  // them: [requests][choices]. As it stands here, one call of score() a choice.
  virtual std::vector<std::vector<double>> score_choices(std::span<const LmRequest> requests,
                                                         std::span<const std::string> choices,
                                                         const CancelToken& cancel);
};

}  // namespace lectern
