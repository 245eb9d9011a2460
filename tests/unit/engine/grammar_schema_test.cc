#include "engine/grammar_schema.h"

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

GrammarAutomaton compile(const std::string& schema) {
  return compile_json_schema(parse_json(schema, "test"));
}

// Whether `text` is a sentence of the grammar.
bool accepts(const GrammarAutomaton& automaton, std::string_view text) {
  auto position = automaton.start();
  for (const char byte : text)
    if (!automaton.step(position, static_cast<uint8_t>(byte))) return false;
  return automaton.complete(position);
}

bool accepts(const std::string& schema, std::string_view text) {
  return accepts(compile(schema), text);
}

std::string error_of(const std::string& schema, ErrorCode code) {
  try {
    compile(schema);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("no error for " << schema);
  return "";
}

}  // namespace

TEST_CASE("schema: objects write every property in order") {
  const auto automaton = compile(
      R"({"type":"object","properties":{"a":{"type":"integer"},"ü\"":{"type":"boolean"},"c":{"type":"null"}},
          "required":["a"],"additionalProperties":false,"title":"t","description":"d"})");
  CHECK(accepts(automaton, "{\"a\": 1, \"ü\\\"\": true, \"c\": null}"));
  CHECK_FALSE(accepts(automaton, "{\"a\": 1, \"ü\\\"\": true, \"c\": null"));
  CHECK_FALSE(accepts(automaton, "{\"a\":1, \"ü\\\"\": true, \"c\": null}"));
  CHECK_FALSE(accepts(automaton, "{\"a\": 1}"));
  CHECK_FALSE(accepts(automaton, "{\"a\": , \"ü\\\"\": true, \"c\": null}"));
  CHECK(accepts(R"({"type":"object","properties":{}})", "{}"));
}

TEST_CASE("schema: numbers") {
  const auto integer = compile(R"({"type":"integer"})");
  for (const char* text : {"0", "-0", "7", "-12", "123456789012345"}) CHECK(accepts(integer, text));
  for (const char* text : {"", "-", "01", "+1", "1.0", "1e5", "1234567890123456", "1 "})
    CHECK_FALSE(accepts(integer, text));
  const auto number = compile(R"({"type":"number"})");
  for (const char* text : {"0", "0.5", "-1.25", "10.000000000000001"}) CHECK(accepts(number, text));
  for (const char* text : {".5", "1.", "1.5.5", "1e5", "00", "0.0000000000000001"})
    CHECK_FALSE(accepts(number, text));
}

TEST_CASE("schema: strings hold well-formed text between their bounds") {
  const auto any = compile(R"({"type":"string"})");
  for (const char* text : {"\"\"", "\"a\"", "\"\\n\\\"\\\\\\/\\b\\f\\r\\t\"", "\"é中\U0001F642\x7f\"",
                           "\"\xee\x80\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf\""})
    CHECK(accepts(any, text));
  for (const char* text :
       {"\"", "a", "\"a", "\"a\"b", "\"\n\"", "\"\t\"", "\"\\x\"", "\"\\u0041\"", "\"\\\"", "\"\x80\"",
        "\"\xc1\x80\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xe4\xb8\"", "\"\xf0\x80\x80\x80\"",
        "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xff\""})
    CHECK_FALSE(accepts(any, text));

  const auto bounded = compile(R"({"type":"string","minLength":2,"maxLength":3})");
  for (const char* text : {"\"ab\"", "\"abc\"", "\"中中中\"", "\"\\n\\n\""}) CHECK(accepts(bounded, text));
  for (const char* text : {"\"\"", "\"a\"", "\"abcd\"", "\"中\"", "\"\\n\""})
    CHECK_FALSE(accepts(bounded, text));
  CHECK(accepts(any, "\"" + std::string(1024, 'x') + "\""));
  CHECK_FALSE(accepts(any, "\"" + std::string(1025, 'x') + "\""));
  CHECK(accepts(R"({"type":"string","maxLength":0})", "\"\""));
  CHECK_FALSE(accepts(R"({"type":"string","maxLength":0})", "\"a\""));
}

TEST_CASE("schema: arrays between their bounds, nested") {
  const auto automaton = compile(
      R"({"type":"array","minItems":1,"maxItems":2,"items":{"type":"array","maxItems":3,"items":{"type":"integer"}}})");
  for (const char* text : {"[[]]", "[[], []]", "[[1, 22, 333], []]", "[[1], [2]]"})
    CHECK(accepts(automaton, text));
  for (const char* text :
       {"[]", "[[], [], []]", "[[1, 2, 3, 4]]", "[[1,2]]", "[[1, ]]", "[[]", "[1]", "[, []]"})
    CHECK_FALSE(accepts(automaton, text));
  const auto exactly = compile(R"({"type":"array","minItems":2,"maxItems":2,"items":{"type":"string"}})");
  CHECK(accepts(exactly, R"(["a", "b"])"));
  CHECK_FALSE(accepts(exactly, R"(["a"])"));
  CHECK(accepts(R"({"type":"array","maxItems":0,"items":{"type":"null"}})", "[]"));
  CHECK_FALSE(accepts(R"({"type":"array","maxItems":0,"items":{"type":"null"}})", "[null]"));
}

TEST_CASE("schema: enum and const") {
  const auto automaton = compile(R"({"type":"array","items":{"enum":["a","ab","中\n",1,12,1.5,true,null]}})");
  CHECK(accepts(automaton, R"(["a", "ab", "中\n", 1, 12, 1.5, true, null])"));
  CHECK_FALSE(accepts(automaton, R"(["abc"])"));
  CHECK_FALSE(accepts(automaton, "[2]"));
  CHECK_FALSE(accepts(automaton, "[1.]"));
  CHECK(accepts(R"({"const":"x"})", "\"x\""));
  CHECK(accepts(R"({"type":"string","enum":["x"]})", "\"x\""));
}

TEST_CASE("schema: what is not supported is named, with its place") {
  using Catch::Matchers::Contains;
  const auto unsupported = [](const std::string& schema) {
    return error_of(schema, ErrorCode::kUnsupported);
  };
  const auto invalid = [](const std::string& schema) {
    return error_of(schema, ErrorCode::kInvalidArgument);
  };
  CHECK_THAT(unsupported(R"({"type":"object","properties":{"a":{"type":"string","pattern":"x"}}})"),
             Contains("$.a") && Contains("'pattern'"));
  CHECK_THAT(unsupported(R"({"type":"array","items":{"anyOf":[]}})"),
             Contains("$.items") && Contains("'anyOf'"));
  CHECK_THAT(unsupported(R"({"type":"integer","minimum":1})"), Contains("'minimum'"));
  CHECK_THAT(unsupported(R"({"type":"integer","maxLength":1})"), Contains("'maxLength'"));
  CHECK_THAT(unsupported(R"({"$ref":"#"})"), Contains("'$ref'"));
  CHECK_THAT(unsupported(R"({"type":["string","null"]})"), Contains("'type'"));
  CHECK_THAT(unsupported(R"({"type":"text"})"), Contains("'text'"));
  CHECK_THAT(unsupported(R"({})"), Contains("needs 'type'"));
  CHECK_THAT(unsupported("true"), Contains("must be an object"));
  CHECK_THAT(unsupported(R"({"type":"object"})"), Contains("'properties'"));
  CHECK_THAT(unsupported(R"({"type":"array"})"), Contains("'items'"));
  CHECK_THAT(unsupported(R"({"enum":[[1]]})"), Contains("'enum'"));
  CHECK_THAT(unsupported(R"({"type":"string","enum":[1]})"), Contains("of the type given"));
  CHECK_THAT(unsupported(R"({"enum":[1],"const":1})"), Contains("together"));
  CHECK_THAT(unsupported(R"({"type":"object","properties":{},"additionalProperties":{}})"),
             Contains("additional"));
  CHECK_THAT(invalid(R"({"enum":[]})"), Contains("'enum'"));
  CHECK_THAT(invalid(R"({"type":"object","properties":{},"required":["x"]})"), Contains("'required'"));
  CHECK_THAT(invalid(R"({"type":"string","maxLength":-1})"), Contains("'maxLength'"));
  CHECK_THAT(invalid(R"({"type":"string","maxLength":65536})"), Contains("65535"));
  CHECK_THAT(invalid(R"({"type":"string","maxLength":1.5})"), Contains("whole number"));
  CHECK_THAT(invalid(R"({"type":"array","items":{"type":"null"},"minItems":3,"maxItems":2})"),
             Contains("larger"));
}

TEST_CASE("schema: long names are cut in errors") {
  const std::string name(100'000, 'n');
  const std::string schema =
      R"({"type":"object","properties":{")" + name + R"(":{"type":"object","properties":{"x":{}}}}})";
  CHECK(error_of(schema, ErrorCode::kUnsupported).size() < 400);
}

TEST_CASE("schema: deep and large ones are refused, not followed down") {
  std::string deep = R"({"type":"null"})";
  for (int i = 0; i < 7; ++i) deep = R"({"type":"array","items":)" + deep + "}";
  CHECK_THAT(error_of(deep, ErrorCode::kUnsupported), Catch::Matchers::Contains("nested deeper"));

  Json large = {{"type", "object"}, {"properties", Json::object()}};
  for (int i = 0; i < 6000; ++i) large["properties"][std::to_string(i)] = {{"type", "null"}};
  CHECK_THROWS_AS(compile_json_schema(large), Error);
  Json wide = {{"enum", Json::array()}};
  for (int i = 0; i < 30; ++i) wide["enum"].push_back(std::to_string(i) + std::string(50000, 'x'));
  CHECK_THROWS_AS(compile_json_schema(wide), Error);
}
