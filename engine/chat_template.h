// ChatML, as Qwen2 and Qwen2.5 were trained with it. Built in: a template inside a model file is never
// executed.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/tokenizer.h"

namespace lectern {

enum class Role { kSystem, kUser, kAssistant, kTool };

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;  // text only: control tokens inside it stay text
};

class ChatTemplate {
 public:
  ChatTemplate(const Tokenizer& tokenizer, const Qwen2Config& config);

  // The token ids of the conversation, ending with the opening of an assistant turn. Without a system message
  // the family's default is used (Qwen2.5's names Qwen and Alibaba Cloud; Qwen2's does not).
  // `assistant_prefix` begins the answer.
  std::vector<int32_t> render(std::span<const ChatMessage> messages,
                              std::string_view assistant_prefix = {}) const;

  // Ids that end an answer.
  std::span<const int32_t> stop_tokens() const { return stop_tokens_; }

 private:
  const Tokenizer* tokenizer_;
  std::string default_system_;
  int32_t im_start_, im_end_;
  std::vector<int32_t> stop_tokens_;
};

}  // namespace lectern
