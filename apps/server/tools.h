// Functions that a client lets the model call: read from a request, and found again in what the model writes
// (Qwen2.5's form, engine/chat_template.h). ToolCallParser belongs to one answer; the rest is pure functions.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/http.h"
#include "engine/chat_template.h"
#include "engine/grammar.h"

namespace lectern::server {

inline constexpr size_t kMaxTools = 128;
inline constexpr size_t kMaxToolsBytes = 256 << 10;  // of all descriptions together

struct Tool {
  std::string name;
  Json described;   // {"type": "function", "function": {...}}, as the model is told
  Json parameters;  // a JSON schema
};

struct ToolSet {
  enum class Choice { kNone, kAuto, kRequired, kNamed };
  std::vector<Tool> tools;
  Choice choice = Choice::kAuto;
  std::string named;     // kNamed
  bool parallel = true;  // more than one call in an answer

  bool offered() const { return !tools.empty() && choice != Choice::kNone; }
  bool forced() const { return offered() && choice != Choice::kAuto; }
  const Tool* find(std::string_view name) const;
};

// How a request writes a tool: {"type", "function": {"name", ...}} (chat), or {"type", "name", ...}
// (responses).
enum class ToolForm { kNested, kFlat };

// Of "tools", "tool_choice" and "parallel_tool_calls". Throws HttpError(400) that names tools[i]; a schema
// that cannot be held to is refused where a call is forced.
ToolSet read_tools(const Fields& fields, ToolForm form);
// The same of tools that have been taken out of the request.
ToolSet read_tools(const Json& tools, const Json* choice, bool parallel, ToolForm form);

// What the arguments must look like. Throws Error as Grammar::from_json_schema.
std::shared_ptr<const Grammar> arguments_grammar(const Tool& tool);

// The call that `text`, between the tags, is: JSON with the name of one of the tools and an object of
// arguments.
std::optional<ToolCall> parse_tool_call(std::string_view text, const ToolSet& tools);

// Splits an answer, as it comes, into text and calls. What could still become a tag is held back; a call
// comes when it is complete, and one that is not well-formed is text.
class ToolCallParser {
 public:
  using OnText = std::function<void(std::string_view)>;
  using OnCall = std::function<void(const ToolCall&)>;

  // Keeps a reference to the tools. `heard`: what users and tools said. A call without tags that stands there
  // word for word, blanks aside, is a quotation and stays text.
  ToolCallParser(const ToolSet& tools, std::string_view heard, OnText on_text, OnCall on_call);

  void push(std::string_view text);
  void finish();  // no more comes

 private:
  enum class Stage { kStart, kText, kCall, kBare };  // kBare: it begins as a call without tags does

  void take_start();
  bool take_bare();
  void take_text();
  bool take_call();
  void give(std::string_view text);

  const ToolSet* tools_;
  std::string heard_;  // without blanks
  OnText on_text_;
  OnCall on_call_;
  std::string held_;
  std::string gap_;      // the space before the call at hand: text if that is none
  size_t searched_ = 0;  // of held_, for the end of a call
  Stage stage_ = Stage::kStart;
  bool any_call_ = false;
};

}  // namespace lectern::server
