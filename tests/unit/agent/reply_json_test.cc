#include "agent/reply_json.h"

#include "tests/support/catch.h"

namespace lectern {

using Strings = std::vector<std::string>;

TEST_CASE("the object is found in what surrounds it") {
  CHECK(reply_object("{\"a\": 1}")->at("a") == 1);
  CHECK(reply_object("Sure:\n```json\n{\"a\": 1}\n``` done")->at("a") == 1);
  CHECK_FALSE(reply_object(""));
  CHECK_FALSE(reply_object("no braces"));
  CHECK_FALSE(reply_object("} {"));
  CHECK_FALSE(reply_object("{\"a\": [1, 2"));
  CHECK_FALSE(reply_object("{\"a\": 1} and {\"b\": 2}"));
  CHECK_FALSE(reply_object(std::string(100000, '{') + "}"));
}

TEST_CASE("lists keep only distinct non-empty strings") {
  const Json object =
      parse_json(R"({"a": [" x ", "", "x", 3, null, "y"], "b": "one", "c": 7, "d": {"e": "f"}})", "test");
  CHECK(string_list(object, "a") == Strings{"x", "y"});
  CHECK(string_list(object, "b") == Strings{"one"});
  CHECK(string_list(object, "c").empty());
  CHECK(string_list(object, "d").empty());
  CHECK(string_list(object, "missing").empty());
}

}  // namespace lectern
