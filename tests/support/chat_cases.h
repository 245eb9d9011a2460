// The conversations of tests/golden/tokenizer/chat.json: what the public chat templates make of them.
#pragma once

#include <map>

#include "engine/chat_template.h"
#include "tests/support/tokenizer_lines.h"

namespace lectern {

struct ChatCase {
  std::string family;  // "qwen2" or "qwen2.5"
  std::vector<ChatMessage> messages;
  std::vector<Json> tools;
  std::string prefix;
  std::string text;          // as rendered, control tokens written out
  std::vector<int32_t> ids;  // with the Qwen2.5 vocabulary; empty where the reference would take control
                             // tokens out of a message's text
};

inline std::vector<ChatCase> read_chat_cases() {
  static const std::map<std::string, Role> kRoles = {{"system", Role::kSystem},
                                                     {"user", Role::kUser},
                                                     {"assistant", Role::kAssistant},
                                                     {"tool", Role::kTool}};
  std::vector<ChatCase> cases;
  for (const Json& entry : read_tokenizer_fixture("chat.json")) {
    ChatCase chat{entry.at("family"), {}, {}, entry.at("prefix"), entry.at("text"), {}};
    for (const Json& message : entry.at("messages")) {
      ChatMessage turn{kRoles.at(message.at(0).get<std::string>()), message.at(1).get<std::string>(), {}};
      if (message.size() > 2)
        for (const Json& call : message.at(2))
          turn.tool_calls.push_back({call.at("name"), call.at("arguments")});
      chat.messages.push_back(std::move(turn));
    }
    if (entry.contains("tools")) chat.tools = entry.at("tools").get<std::vector<Json>>();
    if (entry.contains("ids")) chat.ids = entry.at("ids").get<std::vector<int32_t>>();
    cases.push_back(std::move(chat));
  }
  return cases;
}

}  // namespace lectern
