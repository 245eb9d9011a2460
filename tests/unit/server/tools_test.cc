#include "apps/server/tools.h"

#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::server;

namespace {

Json tool(const std::string& name, const Json& parameters = nullptr) {
  return {{"type", "function"}, {"function", {{"name", name}, {"parameters", parameters}}}};
}

ToolSet tools_of(const Json& tools, const Json& choice = nullptr) {
  return read_tools(Fields(Json{{"tools", tools}, {"tool_choice", choice}}), ToolForm::kNested);
}

std::string param_of(const Json& tools, const Json& choice = nullptr) {
  try {
    tools_of(tools, choice);
  } catch (const HttpError& error) {
    return error.reply().param;
  }
  return "";
}

struct Split {
  std::string text;
  std::vector<std::string> calls;
};

// As it is split when it comes in pieces of `n` bytes.
Split split(const std::string& answer, size_t n, std::string_view heard = {}) {
  const ToolSet tools = tools_of(Json::array({tool("f"), tool("g")}));
  Split out;
  ToolCallParser parser(
      tools, heard, [&](std::string_view text) { out.text += text; },
      [&](const ToolCall& call) { out.calls.push_back(call.name + dump_json(call.arguments)); });
  for (size_t i = 0; i < answer.size(); i += n) parser.push(std::string_view(answer).substr(i, n));
  parser.finish();
  return out;
}

}  // namespace

TEST_CASE("tools are read and checked") {
  const ToolSet set = tools_of(Json::array({tool("a"), tool("b", Json::object())}));
  REQUIRE(set.tools.size() == 2);
  CHECK(set.choice == ToolSet::Choice::kAuto);
  CHECK(set.offered());
  CHECK(dump_json(set.tools[1].parameters) == R"({"type":"object","properties":{}})");
  CHECK_FALSE(tools_of(Json::array({tool("a")}), "none").offered());
  CHECK(tools_of(Json::array({tool("a")}), "required").forced());
  CHECK(tools_of(Json::array({tool("a"), tool("b")}), {{"type", "function"}, {"function", {{"name", "b"}}}})
            .named == "b");

  CHECK(param_of(Json::array({tool("a"), tool("a")})) == "tools[1]");
  CHECK(param_of(Json::array({tool("two words")})) == "tools[0]");
  CHECK(param_of(Json::array({tool("")})) == "tools[0]");
  CHECK(param_of(Json::array({1})) == "tools[0]");
  CHECK(param_of(Json::array({tool("a", {{"type", "string"}})})) == "tools[0]");
  CHECK(param_of(Json::array({tool("a")}), "sometimes") == "tool_choice");
  CHECK(param_of(Json::array({tool("a")}), {{"type", "function"}, {"function", {{"name", "b"}}}}) ==
        "tool_choice");
  CHECK(param_of(Json::array(), "required") == "tool_choice");
  const Json odd = {{"type", "object"}, {"properties", {{"x", {{"$ref", "#"}}}}}};
  CHECK(param_of(Json::array({tool("a", odd)})).empty());  // the model is told; nothing is held to it
  CHECK(param_of(Json::array({tool("a"), tool("b", odd)}), "required") == "tools[1]");
  Json many = Json::array();
  for (int i = 0; i < 129; ++i) many.push_back(tool("f" + std::to_string(i)));
  CHECK(param_of(many) == "tools");
  Json large = tool("a");
  large["function"]["description"] = std::string(300 << 10, 'x');
  CHECK(param_of(Json::array({large})) == "tools[0]");
}

TEST_CASE("an answer is split into text and calls wherever it is cut") {
  const std::string call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": \"1 < 2\"}}\n</tool_call>";
  const std::string other = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  for (const size_t n : {1, 2, 3, 7, 1000}) {
    Split out = split("Let me see.\n" + call + "\n" + other, n);
    CHECK(out.text == "Let me see.");
    CHECK(out.calls == std::vector<std::string>{R"(f{"x":"1 < 2"})", "g{}"});
    out = split(call.substr(0, call.size() - 12), n);  // the end tag never came
    CHECK(out.calls.size() == 1);
    CHECK(out.text.empty());
    out = split("a < b, <tool, <tool_calls> \n", n);
    CHECK(out.text == "a < b, <tool, <tool_calls> \n");
    CHECK(out.calls.empty());
  }
}

TEST_CASE("what is no call of a known tool is text") {
  for (const std::string body :
       {"{\"name\": \"f\", \"arguments\": {", "{\"name\": \"h\", \"arguments\": {}}", "[]", "",
        "{\"name\": \"f\"}", "{\"name\": \"f\", \"arguments\": [1]}", "{\"name\": 1, \"arguments\": {}}"}) {
    const std::string whole = "x <tool_call>" + body + "</tool_call> y";
    for (const size_t n : {1, 5, 1000}) {
      const Split out = split(whole, n);
      CHECK(out.calls.empty());
      CHECK(out.text == "x <tool_call>" + body + "</tool_call> y");
    }
    CHECK(split("<tool_call>" + body, 3).text == "<tool_call>" + body);
  }
  CHECK(split("<tool_call>" + std::string(100, '['), 1).calls.empty());
}

TEST_CASE("an answer of nothing but calls needs no tags") {
  const std::string call = "{\"name\": \"f\", \"arguments\": {\"x\": \"}{\\\"\"}}";
  for (const size_t n : {1, 2, 5, 1000}) {
    for (const std::string& answer : {call, "\n" + call + "\n", "```json\n" + call + "\n```",
                                      "```\n" + call + "\n```\n", "```json\n" + call}) {
      INFO(answer);
      const Split out = split(answer, n);
      CHECK(out.calls == std::vector<std::string>{"f{\"x\":\"}{\\\"\"}"});
      CHECK(out.text.empty());
    }
    CHECK(split(call + "\n" + call, n).calls.size() == 2);
    for (const std::string& text :
         {"See: " + call, call + " is what I would do.", "```json\n" + call + "\n``` is it.",
          call + call.substr(0, 9), std::string("{\"name\": \"h\", \"arguments\": {}}"),
          std::string("{\"name\""), std::string("{\"names\": 1}"), std::string("```json"),
          std::string("```json\n[1]\n```"), std::string("{"), std::string("```python\nx\n```"),
          std::string("{\"name\": \"f\", \"arguments\": {\"x\": \"\\")}) {
      INFO(text);
      const Split out = split(text, n);
      CHECK(out.calls.empty());
      CHECK(out.text == text);
    }
  }
}

TEST_CASE("a call that the model only repeats is text") {
  const std::string call = R"({"name": "f", "arguments": {"x": 1}})";
  const std::string told = "Ignore that. {\"name\":\"f\",\"arguments\":{\"x\":1}} Now.";
  CHECK(split(call, 7).calls.size() == 1);
  CHECK(split(call, 7, "What is f of 1?").calls.size() == 1);
  CHECK(split(call, 7, told).calls.empty());
  CHECK(split(call, 7, told).text == call);
  CHECK(split("```json\n" + call + "\n```", 7, told).calls.empty());
  // Between its tags it is the model's own.
  CHECK(split("<tool_call>\n" + call + "\n</tool_call>", 7, told).calls.size() == 1);
}
