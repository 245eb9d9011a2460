#include "apps/server/tools.h"

#include <algorithm>

namespace lectern::server {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kMaxNameBytes = 64;

[[noreturn]] void wrong_tool(size_t i, const std::string& what) {
  throw HttpError(400, "tools[" + std::to_string(i) + "] " + what, "invalid_value",
                  "tools[" + std::to_string(i) + "]");
}

[[noreturn]] void wrong_choice(const std::string& what) {
  throw HttpError(400, "\"tool_choice\" " + what, "invalid_value", "tool_choice");
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

std::string text_at(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : "";
}

Tool read_tool(const Json& json, size_t i, ToolForm form) {
  if (!json.is_object() || text_at(json, "type") != "function")
    wrong_tool(i, "must be {\"type\": \"function\", ...}: other tools are not known here");
  const auto nested = json.find("function");
  if (form == ToolForm::kNested && (nested == json.end() || !nested->is_object()))
    wrong_tool(i, "has no object \"function\"");
  const Json& from = form == ToolForm::kNested ? *nested : json;
  Tool tool;
  tool.name = text_at(from, "name");
  if (!is_name(tool.name)) wrong_tool(i, "needs a name of 1 to 64 letters, digits, '_', '-' and '.'");
  Json function{{"name", tool.name}};
  if (const auto text = from.find("description"); text != from.end() && !text->is_null()) {
    if (!text->is_string()) wrong_tool(i, "has a description that is not a string");
    function["description"] = *text;
  }
  tool.parameters = {{"type", "object"}, {"properties", Json::object()}};
  if (const auto schema = from.find("parameters"); schema != from.end() && !schema->is_null()) {
    if (!schema->is_object()) wrong_tool(i, "has parameters that are not a JSON schema");
    if (!schema->empty()) tool.parameters = *schema;
  }
  if (text_at(tool.parameters, "type") != "object")
    wrong_tool(i, "has parameters that are not of type object");
  if (!tool.parameters.contains("properties")) tool.parameters["properties"] = Json::object();
  function["parameters"] = tool.parameters;
  tool.described = {{"type", "function"}, {"function", std::move(function)}};
  return tool;
}

void read_choice(const Json* choice, ToolForm form, ToolSet& set) {
  if (choice == nullptr || choice->is_null()) return;
  if (choice->is_string()) {
    const auto word = choice->get<std::string>();
    if (word == "none") {
      set.choice = ToolSet::Choice::kNone;
    } else if (word == "required") {
      set.choice = ToolSet::Choice::kRequired;
    } else if (word != "auto") {
      wrong_choice("is none, auto, required, or names a function");
    }
  } else {
    const Json* named = choice;
    if (form == ToolForm::kNested && choice->is_object()) {
      const auto function = choice->find("function");
      named = function == choice->end() ? nullptr : &*function;
    }
    if (!choice->is_object() || text_at(*choice, "type") != "function" || named == nullptr ||
        !named->is_object())
      wrong_choice("is none, auto, required, or names a function");
    set.choice = ToolSet::Choice::kNamed;
    set.named = text_at(*named, "name");
    if (set.find(set.named) == nullptr) wrong_choice("names a function that is not in \"tools\"");
  }
  if (set.choice == ToolSet::Choice::kRequired && set.tools.empty())
    wrong_choice("requires a call, and there are no \"tools\"");
}

// The longest end of `text` that could go on to be `tag`.
size_t tag_begun(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (text.ends_with(tag.substr(0, n))) return n;
  return 0;
}

constexpr std::string_view kFences[] = {"```json\n", "```\n"};

std::string_view without_begin_space(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
}

enum class Likeness { kNo, kPerhaps, kYes };

// Does an answer begin as a call without tags: {"name", perhaps in a fence?
Likeness bare_call_begun(std::string_view text) {
  text = without_begin_space(text);
  for (const std::string_view fence : kFences) {
    if (fence.starts_with(text)) return Likeness::kPerhaps;
    if (text.starts_with(fence)) {
      text = without_begin_space(text.substr(fence.size()));
      break;
    }
  }
  for (const std::string_view part : {std::string_view("{"), std::string_view("\"name\"")}) {
    if (part.starts_with(text)) return Likeness::kPerhaps;
    if (!text.starts_with(part)) return Likeness::kNo;
    text = without_begin_space(text.substr(part.size()));
  }
  return Likeness::kYes;
}

// The objects that follow each other in `text`; none when there is anything else.
std::vector<std::string_view> objects_in(std::string_view text) {
  std::vector<std::string_view> objects;
  while (!(text = without_begin_space(text)).empty()) {
    if (text.front() != '{') return {};
    size_t depth = 0, at = 0;
    bool in_string = false;
    for (; at < text.size(); ++at) {
      if (in_string) {
        if (text[at] == '\\')
          ++at;
        else
          in_string = text[at] != '"';
        continue;
      }
      in_string = text[at] == '"';
      if (text[at] == '{') ++depth;
      if (text[at] == '}' && --depth == 0) break;
    }
    if (at >= text.size()) return {};
    objects.push_back(text.substr(0, at + 1));
    text.remove_prefix(at + 1);
  }
  return objects;
}

std::string without_blanks(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out),
               [](char c) { return kSpace.find(c) == std::string_view::npos; });
  return out;
}

std::string_view without_end_space(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

}  // namespace

const Tool* ToolSet::find(std::string_view name) const {
  const auto at =
      std::find_if(tools.begin(), tools.end(), [&](const Tool& tool) { return tool.name == name; });
  return at == tools.end() ? nullptr : &*at;
}

ToolSet read_tools(const Fields& fields, ToolForm form) {
  static const Json kNone = Json::array();
  const Json* tools = fields.find("tools");
  return read_tools(tools != nullptr ? *tools : kNone, fields.find("tool_choice"),
                    fields.flag("parallel_tool_calls", true), form);
}

ToolSet read_tools(const Json& tools, const Json* choice, bool parallel, ToolForm form) {
  if (!tools.is_array() || tools.size() > kMaxTools)
    throw HttpError(400, "\"tools\" must be an array of at most " + std::to_string(kMaxTools),
                    "invalid_value", "tools");
  ToolSet set;
  set.parallel = parallel;
  size_t bytes = 0;
  for (size_t i = 0; i < tools.size(); ++i) {
    Tool tool = read_tool(tools[i], i, form);
    bytes += dump_json(tool.described).size();
    if (bytes > kMaxToolsBytes)
      wrong_tool(i, "makes \"tools\" larger than " + std::to_string(kMaxToolsBytes) + " bytes");
    if (set.find(tool.name) != nullptr) wrong_tool(i, "has the name of an earlier one");
    set.tools.push_back(std::move(tool));
  }
  read_choice(choice, form, set);
  for (size_t i = 0; set.forced() && i < set.tools.size(); ++i) {
    if (set.choice == ToolSet::Choice::kNamed && set.tools[i].name != set.named) continue;
    try {
      arguments_grammar(set.tools[i]);
    } catch (const Error& error) {
      wrong_tool(i, std::string("has parameters that a call cannot be held to: ") + error.what());
    }
  }
  return set;
}

std::shared_ptr<const Grammar> arguments_grammar(const Tool& tool) {
  return Grammar::from_json_schema(tool.parameters);
}

std::optional<ToolCall> parse_tool_call(std::string_view text, const ToolSet& tools) {
  try {
    const Json json = parse_json(text, "the call");
    if (!json.is_object()) return std::nullopt;
    ToolCall call;
    call.name = text_at(json, "name");
    const auto arguments = json.find("arguments");
    if (tools.find(call.name) == nullptr || arguments == json.end() || !arguments->is_object())
      return std::nullopt;
    call.arguments = *arguments;
    return call;
  } catch (const Error&) {
    return std::nullopt;
  }
}

ToolCallParser::ToolCallParser(const ToolSet& tools, std::string_view heard, OnText on_text, OnCall on_call)
    : tools_(&tools),
      heard_(without_blanks(heard)),
      on_text_(std::move(on_text)),
      on_call_(std::move(on_call)) {}

void ToolCallParser::give(std::string_view text) {
  if (!text.empty()) on_text_(text);
}

void ToolCallParser::push(std::string_view text) {
  held_ += text;
  if (stage_ == Stage::kStart) take_start();
  if (stage_ == Stage::kStart || stage_ == Stage::kBare) return;
  for (;;) {
    if (stage_ == Stage::kText) take_text();
    if (stage_ != Stage::kCall || !take_call()) return;
  }
}

void ToolCallParser::take_start() {
  const Likeness likeness = bare_call_begun(held_);
  if (likeness == Likeness::kNo) stage_ = Stage::kText;
  if (likeness == Likeness::kYes) stage_ = Stage::kBare;
}

// The whole answer as calls without tags; false when it is none.
bool ToolCallParser::take_bare() {
  std::string_view text = without_end_space(without_begin_space(held_));
  for (const std::string_view fence : kFences) {
    if (!text.starts_with(fence)) continue;
    text.remove_prefix(fence.size());
    if (text.ends_with("```")) text.remove_suffix(3);
    break;
  }
  std::vector<ToolCall> calls;
  for (const std::string_view object : objects_in(text)) {
    auto call = parse_tool_call(object, *tools_);
    if (!call || heard_.find(without_blanks(object)) != std::string::npos) return false;
    calls.push_back(std::move(*call));
  }
  if (!tools_->parallel && calls.size() > 1) calls.resize(1);
  for (const ToolCall& call : calls) on_call_(call);
  return !calls.empty();
}

// Gives the text before a call, or as much as cannot belong to one.
void ToolCallParser::take_text() {
  const size_t tag = held_.find(kToolCallBegin);
  if (tag != std::string::npos) {
    const std::string_view text = without_end_space(std::string_view(held_).substr(0, tag));
    gap_ = held_.substr(text.size(), tag - text.size());
    give(text);
    held_.erase(0, tag + kToolCallBegin.size());
    searched_ = 0;
    stage_ = Stage::kCall;
    return;
  }
  std::string_view sure(held_);
  sure.remove_suffix(tag_begun(sure, kToolCallBegin));
  sure = without_end_space(sure);
  const size_t n = sure.size();
  give(sure);
  held_.erase(0, n);
}

// false: its end has not come yet.
bool ToolCallParser::take_call() {
  const size_t overlap = std::min(searched_, kToolCallEnd.size() - 1);
  const size_t end = held_.find(kToolCallEnd, searched_ - overlap);
  searched_ = held_.size();
  if (end == std::string::npos) return false;
  const std::string body = held_.substr(0, end);
  held_.erase(0, end + kToolCallEnd.size());
  stage_ = Stage::kText;
  if (const auto call = parse_tool_call(body, *tools_)) {
    any_call_ = true;
    on_call_(*call);
  } else {
    give(gap_ + std::string(kToolCallBegin) + body + std::string(kToolCallEnd));
  }
  return true;
}

void ToolCallParser::finish() {
  if (stage_ == Stage::kBare && take_bare()) {
    // Calls, and nothing else.
  } else if (stage_ == Stage::kCall) {
    // The model may end its turn without closing the last call.
    if (const auto call = parse_tool_call(held_, *tools_)) {
      on_call_(*call);
    } else {
      give(gap_ + std::string(kToolCallBegin) + held_);
    }
  } else {
    give(any_call_ ? without_end_space(held_) : std::string_view(held_));
  }
  held_.clear();
}

}  // namespace lectern::server
