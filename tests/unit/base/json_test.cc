#include "base/json.h"

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("parse_json names the origin and the place of a mistake") {
  CHECK(parse_json(R"({"a": [1, 2]})", "x")["a"][1] == 2);
  CHECK_THROWS_WITH(parse_json("{\"a\": }", "config.json"),
                    Catch::Contains("config.json") && Catch::Contains("byte 7"));
}

TEST_CASE("parse_json refuses deep nesting and is not fooled by brackets in strings") {
  const std::string deep(100'000, '[');
  CHECK_THROWS_WITH(parse_json(deep, "x"), Catch::Contains("nested deeper"));
  CHECK(parse_json("[\"" + std::string(1000, '[') + "\\\"]\"]", "x").size() == 1);
}

TEST_CASE("parse_json refuses numbers that no double holds") {
  CHECK_THROWS_AS(parse_json("[1e999]", "x"), Error);
}

namespace {

// Writes what it is shown, one value a line.
struct Printer : JsonVisitor {
  void scalar(const Path& path, const JsonScalar& value) override {
    show(path);
    if (const auto* text = std::get_if<std::string_view>(&value)) out += *text;
    if (const auto* integer = std::get_if<int64_t>(&value)) out += std::to_string(*integer);
    if (std::holds_alternative<double>(value)) out += "real";
    if (const auto* boolean = std::get_if<bool>(&value)) out += *boolean ? "true" : "false";
    if (std::holds_alternative<std::nullptr_t>(value)) out += "null";
    out += "\n";
  }
  void begin(const Path& path, bool is_object) override {
    show(path);
    out += is_object ? "{\n" : "[\n";
  }
  void end(const Path& path) override {
    show(path);
    out += "end\n";
  }
  void show(const Path& path) {
    for (const std::string& key : path) out += "/" + key;
    out += " ";
  }
  std::string out;
};

}  // namespace

TEST_CASE("visit_json shows every value with its path") {
  Printer printer;
  visit_json(R"({"a": [1, {"b": "x"}], "c": {"d": null, "d": true}, "e": [18446744073709551615, 0.5]})", "x",
             printer);
  CHECK(printer.out ==
        " {\n/a [\n/a/ 1\n/a/ {\n/a//b x\n/a/ end\n/a end\n/c {\n/c/d null\n/c/d true\n/c end\n"
        "/e [\n/e/ real\n/e/ real\n/e end\n end\n");
}

TEST_CASE("visit_json refuses what parse_json refuses") {
  Printer printer;
  CHECK_THROWS_WITH(visit_json("{\"a\": }", "config.json", printer),
                    Catch::Contains("config.json") && Catch::Contains("byte 7"));
  CHECK_THROWS_WITH(visit_json(std::string(100'000, '['), "x", printer), Catch::Contains("nested deeper"));
  for (const char* text : {"", "{", "[1", "[1]]", "{\"a\":1,}", "[1e999]", "\"\xff\""})
    CHECK_THROWS_AS(visit_json(text, "x", printer), Error);
}

TEST_CASE("visit_json takes linear time on many keys") {
  std::string text = "{\"k0\":0";
  for (int i = 1; i < 300'000; ++i) text += ",\"k" + std::to_string(i) + "\":" + std::to_string(i);
  struct : JsonVisitor {
    void scalar(const Path&, const JsonScalar& value) override { sum += std::get<int64_t>(value); }
    void begin(const Path&, bool) override {}
    void end(const Path&) override {}
    int64_t sum = 0;
  } adder;
  visit_json(text + "}", "x", adder);
  CHECK(adder.sum == int64_t{300'000} * 299'999 / 2);
}

TEST_CASE("dump_json never throws on ill-formed UTF-8") {
  CHECK(dump_json(Json("a\xff")) == "\"a\xEF\xBF\xBD\"");
}
