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

TEST_CASE("dump_json never throws on ill-formed UTF-8") {
  CHECK(dump_json(Json("a\xff")) == "\"a\xEF\xBF\xBD\"");
}
