#include "engine/chat_template.h"

#include <algorithm>

#include "base/error.h"

namespace lectern {
namespace {

constexpr std::string_view kDefaultSystemQwen2 = "You are a helpful assistant.";
constexpr std::string_view kDefaultSystemQwen25 =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

// What the system message goes on with when there are tools.
constexpr std::string_view kToolsBegin =
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsEnd =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within ";
constexpr std::string_view kToolsForm = " XML tags:\n";

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
      stop_tokens_{im_end_, tokenizer.control_token("<|endoftext|>")} {
  if (family_ == Family::kQwen2) return;
  call_begin_ = tokenizer.control_token(kToolCallBegin);
  call_end_ = tokenizer.control_token(kToolCallEnd);
}

// What stands between two control tokens is encoded as one text, as the reference does: the end of the role's
// line and the beginning of the content may share a token.
void ChatTemplate::append_turn(std::string_view text, std::vector<int32_t>& ids) const {
  ids.push_back(im_start_);
  tokenizer_->encode(text, ids);
  ids.push_back(im_end_);
  ids.insert(ids.end(), line_break_.begin(), line_break_.end());
}

// The tags of the template are the tokens that the model knows; those in descriptions stay text.
void ChatTemplate::append_system(std::string_view system, std::span<const Json> tools,
                                 std::vector<int32_t>& ids) const {
  std::string text = turn_text(Role::kSystem, system);
  if (tools.empty()) return append_turn(text, ids);
  text += kToolsBegin;
  for (const Json& tool : tools) text.append("\n").append(dump_json_spaced(tool));
  text += kToolsEnd;
  ids.push_back(im_start_);
  tokenizer_->encode(text, ids);
  ids.push_back(call_begin_);
  ids.push_back(call_end_);
  tokenizer_->encode(kToolsForm, ids);
  ids.push_back(call_begin_);
  tokenizer_->encode("\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n", ids);
  ids.push_back(call_end_);
  ids.push_back(im_end_);
  ids.insert(ids.end(), line_break_.begin(), line_break_.end());
}

void ChatTemplate::append_calls(const ChatMessage& message, std::vector<int32_t>& ids) const {
  ids.push_back(im_start_);
  std::string text(name_of(message.role));
  if (!message.content.empty()) text.append("\n").append(message.content);
  for (const ToolCall& call : message.tool_calls) {
    tokenizer_->encode(text + "\n", ids);
    ids.push_back(call_begin_);
    tokenizer_->encode(
        "\n{\"name\": \"" + call.name + "\", \"arguments\": " + dump_json_spaced(call.arguments) + "}\n",
        ids);
    ids.push_back(call_end_);
    text.clear();
  }
  ids.push_back(im_end_);
  ids.insert(ids.end(), line_break_.begin(), line_break_.end());
}

void ChatTemplate::begin_tool_call(std::string_view text, std::vector<int32_t>& ids) const {
  LECTERN_CHECK(supports_tools());
  ids.push_back(call_begin_);
  tokenizer_->encode(std::string("\n").append(text), ids);
}

std::vector<int32_t> ChatTemplate::render(std::span<const ChatMessage> messages, std::span<const Json> tools,
                                          std::string_view assistant_prefix) const {
  if (messages.empty()) throw Error(ErrorCode::kInvalidArgument, "a conversation needs at least one message");
  const bool calls = std::any_of(messages.begin(), messages.end(),
                                 [](const ChatMessage& message) { return !message.tool_calls.empty(); });
  if ((calls || !tools.empty()) && !supports_tools())
    throw Error(ErrorCode::kUnsupported, "this model was not trained to call tools; Qwen2.5 models were");
  std::vector<int32_t> ids;
  const bool has_system = messages.front().role == Role::kSystem;
  if (has_system) {
    append_system(messages.front().content, tools, ids);
  } else {
    append_system(family_ == Family::kQwen25 ? kDefaultSystemQwen25 : kDefaultSystemQwen2, tools, ids);
  }
  for (size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    if (!messages[i].tool_calls.empty() && messages[i].role == Role::kAssistant) {
      append_calls(messages[i], ids);
      continue;
    }
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
