// The prompts, one text file each under prompts/en and prompts/zh, compiled into the program, and a strict
// renderer. Thread-safe.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace lectern {

// Text of prompts/LANGUAGE/NAME.txt. Throws std::logic_error for one that does not exist: names are ours.
std::string_view prompt_text(std::string_view language, std::string_view name);

// Replaces every {placeholder} by its value, once: values are never searched for placeholders. "{{" and "}}"
// are braces. A placeholder without a value, or a value without a placeholder, is a bug (std::logic_error).
std::string render_prompt(std::string_view text,
                          std::initializer_list<std::pair<std::string_view, std::string_view>> values);

}  // namespace lectern
