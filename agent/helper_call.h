// The small calls that help to answer: rewriting, splitting, keywords, sub-questions. Each has a
// deterministic fallback where it is made, so that a call that fails, is cut short or gives nonsense costs
// nothing but itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/language_model.h"
#include "agent/tracer.h"
#include "base/cancel.h"
#include "prompts/prompts.h"

namespace lectern {

// What the helpers share.
struct HelperContext {
  LanguageModel& model;
  Tracer& tracer;
  const CancelToken& cancel;
};

// The turns of a rendered prompt as messages.
std::vector<LmMessage> to_messages(std::vector<PromptTurn> turns);

// The prompt named like the purpose, in the language of the request.
LmRequest helper_request(std::string purpose, std::string_view language, const PromptValues& values,
                         int max_new_tokens);

// The whole reply, or nothing when the call failed or was cut short. Throws Error(kCancelled).
std::optional<std::string> helper_reply(const HelperContext& context, const LmRequest& request);

// The JSON object in the reply, or nothing when there is none. Throws Error(kCancelled).
std::optional<Json> helper_object(const HelperContext& context, const LmRequest& request);

}  // namespace lectern
