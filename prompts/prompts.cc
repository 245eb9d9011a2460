#include "prompts/prompts.h"

#include <stdexcept>

#include "prompts/prompt_table.h"

namespace lectern {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::logic_error("prompt: " + what);
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || c == '_';
}

// Appends `text` to `out` with its placeholders replaced; marks the values it used.
void render(std::string_view text, const PromptValues& values, std::vector<bool>& used, std::string& out) {
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c != '{' && c != '}') {
      out.push_back(c), ++i;
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == c) {
      out.push_back(c), i += 2;
      continue;
    }
    size_t end = i + 1;
    while (end < text.size() && is_name_character(text[end])) ++end;
    if (c == '}' || end == i + 1 || end == text.size() || text[end] != '}') {
      fail("a lone brace at byte " + std::to_string(i));
    }
    const std::string_view name = text.substr(i + 1, end - i - 1);
    size_t v = 0;
    while (v < values.size() && values[v].first != name) ++v;
    if (v == values.size()) fail("no value for {" + std::string(name) + "}");
    out.append(values[v].second);
    used[v] = true;
    i = end + 1;
  }
}

void check_all_used(const PromptValues& values, const std::vector<bool>& used) {
  for (size_t v = 0; v < values.size(); ++v) {
    if (!used[v]) fail("no placeholder {" + std::string(values[v].first) + "}");
  }
}

struct RawTurn {
  PromptTurn::Role role;
  std::string_view text;
};

std::vector<RawTurn> split_turns(std::string_view text) {
  std::vector<RawTurn> turns;
  size_t body = 0;
  const auto close = [&](size_t end) {
    while (end > body && text[end - 1] == '\n') --end;
    if (!turns.empty()) {
      turns.back().text = text.substr(body, end - body);
    } else if (end > body) {
      fail("text before the first turn");
    }
  };
  for (size_t i = 0; i < text.size();) {
    const size_t newline = std::min(text.find('\n', i), text.size());
    const std::string_view line = text.substr(i, newline - i);
    if (line.substr(0, 4) == "=== ") {
      close(i);
      const std::string_view role = line.substr(4);
      if (role != "system" && role != "user" && role != "assistant") fail("no role " + std::string(role));
      turns.push_back({role == "system" ? PromptTurn::Role::kSystem
                       : role == "user" ? PromptTurn::Role::kUser
                                        : PromptTurn::Role::kAssistant,
                       {}});
      body = std::min(newline + 1, text.size());
    }
    i = newline + 1;
  }
  close(text.size());
  if (turns.empty()) fail("no turns");
  return turns;
}

}  // namespace

std::string_view prompt_text(std::string_view language, std::string_view name) {
  for (size_t i = 0; i < internal::kPromptTextCount; ++i) {
    const internal::PromptText& prompt = internal::kPromptTexts[i];
    if (prompt.language == language && prompt.name == name) return prompt.text;
  }
  fail("no text " + std::string(language) + "/" + std::string(name));
}

std::string render_prompt(std::string_view text, const PromptValues& values) {
  std::vector<bool> used(values.size());
  std::string out;
  render(text, values, used, out);
  check_all_used(values, used);
  return out;
}

std::vector<PromptTurn> render_prompt_turns(std::string_view text, const PromptValues& values) {
  std::vector<bool> used(values.size());
  std::vector<PromptTurn> turns;
  for (const RawTurn& raw : split_turns(text)) {
    turns.push_back({raw.role, {}});
    render(raw.text, values, used, turns.back().content);
  }
  check_all_used(values, used);
  return turns;
}

}  // namespace lectern
