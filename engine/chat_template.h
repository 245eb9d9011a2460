// ChatML, as Qwen2 and Qwen2.5 were trained with it. Built in: a template inside a model file is never
// executed. Thread-safe after construction; the tokenizer must outlive it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/tokenizer.h"

namespace lectern {

enum class Role { kSystem, kUser, kAssistant, kTool };

// A call of a function that the model asked for.
struct ToolCall {
  std::string name;
  Json arguments = Json::object();
};

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;               // text only: control tokens inside it stay text
  std::vector<ToolCall> tool_calls;  // of the assistant
};

// Around a call, in an answer of Qwen2.5.
inline constexpr std::string_view kToolCallBegin = "<tool_call>", kToolCallEnd = "</tool_call>";

class ChatTemplate {
 public:
  // The family is told by the vocabulary: Qwen2.5 (Coder included) added "<tool_call>" to that of Qwen2.
  // Throws Error(kCorrupt) when a control token of ChatML is missing.
  explicit ChatTemplate(const Tokenizer& tokenizer);

  // The token ids of the conversation, ending with the opening of an assistant turn. Without a system message
  // at the beginning the family's default is used (Qwen2.5's names Qwen and Alibaba Cloud; Qwen2's does not).
  // Qwen2.5 reads the results of tools as one user turn of <tool_response> blocks.
  // `assistant_prefix` begins the answer. Throws Error(kInvalidArgument) when there is no message.
  std::vector<int32_t> render(std::span<const ChatMessage> messages,
                              std::string_view assistant_prefix = {}) const {
    return render(messages, {}, assistant_prefix);
  }
  // The same with functions that the model may call, described as {"type": "function", "function": {"name",
  // "description", "parameters"}}. Throws Error(kUnsupported) for tools or calls when the family knows none.
  std::vector<int32_t> render(std::span<const ChatMessage> messages, std::span<const Json> tools,
                              std::string_view assistant_prefix = {}) const;
  bool supports_tools() const { return family_ == Family::kQwen25; }
  // Appends the beginning of a call after a render() that ends with an empty prefix: the answer is then the
  // JSON of a call, of which `text` is given.
  void begin_tool_call(std::string_view text, std::vector<int32_t>& ids) const;

  // Ids that end an answer.
  std::span<const int32_t> stop_tokens() const { return stop_tokens_; }

 private:
  enum class Family { kQwen2, kQwen25 };

  void append_turn(std::string_view text, std::vector<int32_t>& ids) const;
  void append_system(std::string_view system, std::span<const Json> tools, std::vector<int32_t>& ids) const;
  void append_calls(const ChatMessage& message, std::vector<int32_t>& ids) const;

  const Tokenizer* tokenizer_;
  Family family_;
  int32_t im_start_, im_end_;
  int32_t call_begin_ = -1, call_end_ = -1;  // Qwen2.5
  std::vector<int32_t> line_break_;          // between turns
  std::vector<int32_t> stop_tokens_;
};

}  // namespace lectern
