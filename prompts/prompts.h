// The prompts, one text file each under prompts/en and prompts/zh, compiled into the program, and a strict
// renderer. A file is either one text, or a conversation: lines "=== system", "=== user", "=== assistant"
// begin its turns, so that worked examples are turns of their own and cannot be taken for the request.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lectern {

// Text of prompts/LANGUAGE/NAME.txt without its last newline. Throws std::logic_error for one that does not
// exist: names are ours.
std::string_view prompt_text(std::string_view language, std::string_view name);

using PromptValues = std::vector<std::pair<std::string_view, std::string_view>>;

// Replaces every {placeholder} by its value, once: values are never searched for placeholders. "{{" and "}}"
// are braces. A placeholder without a value, or a value without a placeholder, is a bug (std::logic_error).
std::string render_prompt(std::string_view text, const PromptValues& values);

struct PromptTurn {
  enum class Role { kSystem, kUser, kAssistant };
  Role role = Role::kUser;
  std::string content;
};

// The turns of a conversation prompt, each rendered: a value cannot begin a turn. Every value must be used by
// some turn (std::logic_error).
std::vector<PromptTurn> render_prompt_turns(std::string_view text, const PromptValues& values);

}  // namespace lectern
