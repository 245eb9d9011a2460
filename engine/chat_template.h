// ChatML, as Qwen2 and Qwen2.5 were trained with it. Built in: a template inside a model file is never
// executed. Thread-safe after construction; the tokenizer must outlive it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"

namespace lectern {

enum class Role { kSystem, kUser, kAssistant, kTool };

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;  // text only: control tokens inside it stay text
};

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
                              std::string_view assistant_prefix = {}) const;

  // Ids that end an answer.
  std::span<const int32_t> stop_tokens() const { return stop_tokens_; }

 private:
  enum class Family { kQwen2, kQwen25 };

  void append_turn(std::string_view text, std::vector<int32_t>& ids) const;

  const Tokenizer* tokenizer_;
  Family family_;
  int32_t im_start_, im_end_;
  std::vector<int32_t> line_break_;  // between turns
  std::vector<int32_t> stop_tokens_;
};

}  // namespace lectern
