// Random sentences of a grammar, and a plain check of JSON against a schema that shares no code with it.
#pragma once

#include <random>

#include "base/utf8.h"
#include "engine/grammar.h"
#include "tests/support/catch.h"

namespace lectern {

inline constexpr const char* kWalkSchemas[] = {
    R"({"type":"object","properties":{
         "keywords":{"type":"array","minItems":1,"maxItems":4,"items":{"type":"string","minLength":1,"maxLength":24}},
         "found":{"type":"boolean"},"score":{"type":"number"},"n":{"type":"integer"},
         "kind":{"enum":["single","multi","compare","比较",3,null]},
         "quotes":{"type":"array","maxItems":3,"items":{"type":"object","properties":{
            "text":{"type":"string","maxLength":60},"page":{"type":"integer"}}}}}})",
    R"({"type":"array","maxItems":3,"items":{"type":"array","minItems":2,"maxItems":2,
         "items":{"type":"array","maxItems":2,"items":{"type":"number"}}}})",
    R"({"type":"string","minLength":5,"maxLength":40})",
    R"({"type":"number"})",
    R"({"type":"object","properties":{"a":{"type":"object","properties":{"b":{"const":"x\"\n"}}},"c":{"type":"null"}}})",
};

inline bool is_set(std::span<const uint64_t> mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

// An allowed token; -1 when there is none.
template <typename Random>
int32_t random_token(std::span<const uint64_t> mask, Random& random) {
  std::vector<int32_t> allowed;
  for (int32_t id = 0; id < static_cast<int32_t>(mask.size() * 64); ++id)
    if (is_set(mask, id)) allowed.push_back(id);
  return allowed.empty() ? -1 : allowed[random() % allowed.size()];
}

// Follows the masks until the grammar ends; where it may end it does so half of the time.
template <typename Random>
std::string random_sentence(const std::shared_ptr<const Grammar>& grammar, const Tokenizer& tokenizer,
                            Random& random) {
  GrammarState state(grammar, tokenizer);
  std::string text;
  while (!state.finished() && !(state.complete() && random() % 2 == 0)) {
    const int32_t token = random_token(state.mask(), random);
    REQUIRE(token >= 0);  // no dead ends
    state.accept(token);
    text += tokenizer.token_bytes(token);
    REQUIRE(text.size() < 100000);
  }
  REQUIRE(state.complete());
  return text;
}

inline bool in_range(size_t n, const Json& schema, const char* min, const char* max) {
  return n >= schema.value(min, size_t{0}) && n <= schema.value(max, SIZE_MAX);
}

// NOLINTNEXTLINE(misc-no-recursion): schemas of these tests
inline bool fits(const Json& value, const Json& schema) {
  if (schema.contains("const")) return value == schema["const"];
  if (schema.contains("enum")) {
    for (const Json& option : schema["enum"])
      if (option == value) return true;
    return false;
  }
  const std::string type = schema.at("type");
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "string")
    return value.is_string() &&
           in_range(utf8::count(value.get<std::string>()), schema, "minLength", "maxLength");
  if (type == "array") {
    if (!value.is_array() || !in_range(value.size(), schema, "minItems", "maxItems")) return false;
    for (const Json& item : value)
      if (!fits(item, schema["items"])) return false;
    return true;
  }
  if (!value.is_object() || value.size() != schema["properties"].size()) return false;
  for (const auto& [name, property] : schema["properties"].items())
    if (!value.contains(name) || !fits(value[name], property)) return false;
  return true;
}

}  // namespace lectern
