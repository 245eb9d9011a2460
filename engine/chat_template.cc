#include "engine/chat_template.h"

#include "base/error.h"

namespace lectern {
namespace {

constexpr std::string_view kDefaultSystemQwen2 = "You are a helpful assistant.";
constexpr std::string_view kDefaultSystemQwen25 =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  LECTERN_CHECK(false);
  return {};
}

std::string turn_text(Role role, std::string_view content) {
  return std::string(name_of(role)).append("\n").append(content);
}

}  // namespace

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer)
    : tokenizer_(&tokenizer),
      family_(tokenizer.has_control_token("<tool_call>") ? Family::kQwen25 : Family::kQwen2),
      im_start_(tokenizer.control_token("<|im_start|>")),
      im_end_(tokenizer.control_token("<|im_end|>")),
      line_break_(tokenizer.encode("\n")),
      stop_tokens_{im_end_, tokenizer.control_token("<|endoftext|>")} {}

// What stands between two control tokens is encoded as one text, as the reference does: the end of the role's
// line and the beginning of the content may share a token.
void ChatTemplate::append_turn(std::string_view text, std::vector<int32_t>& ids) const {
  ids.push_back(im_start_);
  tokenizer_->encode(text, ids);
  ids.push_back(im_end_);
  ids.insert(ids.end(), line_break_.begin(), line_break_.end());
}

std::vector<int32_t> ChatTemplate::render(std::span<const ChatMessage> messages,
                                          std::string_view assistant_prefix) const {
  if (messages.empty()) throw Error(ErrorCode::kInvalidArgument, "a conversation needs at least one message");
  std::vector<int32_t> ids;
  if (messages.front().role != Role::kSystem)
    append_turn(
        turn_text(Role::kSystem, family_ == Family::kQwen25 ? kDefaultSystemQwen25 : kDefaultSystemQwen2),
        ids);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (family_ == Family::kQwen2 || messages[i].role != Role::kTool) {
      append_turn(turn_text(messages[i].role, messages[i].content), ids);
      continue;
    }
    std::string turn(name_of(Role::kUser));
    turn.append("\n<tool_response>\n").append(messages[i].content).append("\n</tool_response>");
    for (; i + 1 < messages.size() && messages[i + 1].role == Role::kTool; ++i)
      turn.append("\n<tool_response>\n").append(messages[i + 1].content).append("\n</tool_response>");
    append_turn(turn, ids);
  }
  ids.push_back(im_start_);
  tokenizer_->encode(turn_text(Role::kAssistant, assistant_prefix), ids);
  return ids;
}

}  // namespace lectern
