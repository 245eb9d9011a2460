#include "agent/helper_call.h"

#include "agent/reply_json.h"
#include "base/error.h"

namespace lectern {
namespace {

LmMessage::Role role_of(PromptTurn::Role role) {
  switch (role) {
    case PromptTurn::Role::kSystem:
      return LmMessage::Role::kSystem;
    case PromptTurn::Role::kUser:
      return LmMessage::Role::kUser;
    case PromptTurn::Role::kAssistant:
      return LmMessage::Role::kAssistant;
  }
  return LmMessage::Role::kUser;
}

}  // namespace

std::vector<LmMessage> to_messages(std::vector<PromptTurn> turns) {
  std::vector<LmMessage> messages;
  for (PromptTurn& turn : turns) messages.push_back({role_of(turn.role), std::move(turn.content)});
  return messages;
}

LmRequest helper_request(std::string purpose, std::string_view language, const PromptValues& values,
                         int max_new_tokens) {
  LmRequest request;
  request.messages = to_messages(render_prompt_turns(prompt_text(language, purpose), values));
  request.purpose = std::move(purpose);
  request.max_new_tokens = max_new_tokens;
  return request;
}

std::optional<std::string> helper_reply(const HelperContext& context, const LmRequest& request) {
  try {
    LmReply reply = context.tracer.chat(context.model, request, {}, context.cancel);
    if (reply.truncated) return std::nullopt;
    return request.assistant_prefix + reply.text;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return std::nullopt;
  }
}

std::optional<Json> helper_object(const HelperContext& context, const LmRequest& request) {
  const std::optional<std::string> reply = helper_reply(context, request);
  return reply ? reply_object(*reply) : std::nullopt;
}

}  // namespace lectern
