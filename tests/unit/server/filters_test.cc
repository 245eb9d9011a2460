#include "apps/server/filters.h"

#include "apps/server/http.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::server;

namespace {

const Json kFile = {{"year", 1990}, {"kind", "plants"}, {"open", true}};

bool matches(const char* filter) {
  return AttributeFilter(parse_json(filter, "filter")).matches(kFile);
}

}  // namespace

TEST_CASE("filters compare attributes") {
  CHECK(matches(R"({"type": "eq", "key": "year", "value": 1990.0})"));
  CHECK_FALSE(matches(R"({"type": "eq", "key": "year", "value": "1990"})"));
  CHECK(matches(R"({"type": "ne", "key": "year", "value": "1990"})"));
  CHECK(matches(R"({"type": "ne", "key": "none", "value": 1})"));
  CHECK(matches(R"({"type": "eq", "key": "open", "value": true})"));
  CHECK_FALSE(matches(R"({"type": "gt", "key": "open", "value": true})"));
  CHECK(matches(R"({"type": "gt", "key": "year", "value": 1989})"));
  CHECK_FALSE(matches(R"({"type": "gt", "key": "year", "value": 1990})"));
  CHECK(matches(R"({"type": "gte", "key": "year", "value": 1990})"));
  CHECK(matches(R"({"type": "lt", "key": "kind", "value": "q"})"));
  CHECK(matches(R"({"type": "lte", "key": "kind", "value": "plants"})"));
  CHECK_FALSE(matches(R"({"type": "lt", "key": "none", "value": 1})"));
  CHECK(matches(R"({"type": "in", "key": "kind", "value": ["stones", "plants"]})"));
  CHECK_FALSE(matches(R"({"type": "nin", "key": "kind", "value": ["stones", "plants"]})"));
  CHECK(matches(R"({"type": "nin", "key": "none", "value": ["x"]})"));
}

TEST_CASE("filters are joined") {
  CHECK(matches(R"({"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "plants"},
      {"type": "or", "filters": [{"type": "lt", "key": "year", "value": 1},
                                 {"type": "eq", "key": "open", "value": true}]}]})"));
  CHECK_FALSE(matches(R"({"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "plants"},
      {"type": "lt", "key": "year", "value": 1}]})"));
}

TEST_CASE("bad filters and attributes are refused") {
  for (const char* bad :
       {"1", "{}", R"({"type": "like", "key": "a", "value": "b"})", R"({"type": "eq", "key": "a"})",
        R"({"type": "eq", "value": 1})", R"({"type": "eq", "key": "a", "value": [1]})",
        R"({"type": "in", "key": "a", "value": 1})", R"({"type": "in", "key": "a", "value": [[1]]})",
        R"({"type": "and"})", R"({"type": "and", "filters": []})"})
    CHECK_THROWS_AS(AttributeFilter(parse_json(bad, "filter")), HttpError);
  Json deep = {{"type", "eq"}, {"key", "a"}, {"value", 1}};
  Json wide{{"type", "or"}, {"filters", Json::array()}};
  for (int i = 0; i < 200; ++i) wide["filters"].push_back(deep);
  CHECK_THROWS_AS(AttributeFilter(wide), HttpError);
  for (int i = 0; i < 8; ++i) deep = {{"type", "and"}, {"filters", Json::array({deep})}};
  CHECK_THROWS_AS(AttributeFilter(deep), HttpError);

  CHECK(read_attributes(nullptr, "attributes") == Json::object());
  CHECK(read_attributes(&kFile, "attributes") == kFile);
  CHECK_THROWS_AS(read_attributes(&kFile, "metadata", true), HttpError);
  const Json list = {{"a", Json::array()}};
  CHECK_THROWS_AS(read_attributes(&list, "attributes"), HttpError);
  const Json longer = {{std::string(65, 'k'), 1}};
  CHECK_THROWS_AS(read_attributes(&longer, "attributes"), HttpError);
}
