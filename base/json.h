// The one place that parses JSON text. Values are nlohmann::json, used as plain data by the layers above.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lectern {

// Keeps the order in which keys were written: what people read and what prompts show.
using Json = nlohmann::ordered_json;

// Deeper input is refused: copying and printing a value recurse.
inline constexpr int kMaxJsonDepth = 64;

// A Json object looks its keys up one by one, so reading one of n keys takes n * n / 2 comparisons. Text that
// would take more than these, all objects together, is refused: one object of 30,000 keys is taken.
inline constexpr uint64_t kMaxJsonKeyComparisons = 500'000'000;

// A value takes some twenty times the two bytes that it has at least: text of more values is refused.
inline constexpr uint64_t kMaxJsonValues = 4'000'000;

// Parses UTF-8 JSON text. Throws Error(kCorrupt) that names `origin` and the byte offset; refuses nesting
// deeper than kMaxJsonDepth, too many keys and too many values before anything is built.
Json parse_json(std::string_view text, const std::string& origin);

// For large documents: shows the values one after another and builds nothing.
using JsonScalar = std::variant<std::nullptr_t, bool, int64_t, double, std::string_view>;
class JsonVisitor {
 public:
  // Keys from the root to the value; an element of an array has the empty key. Integers beyond int64_t come
  // as double. What is passed lives as long as the call; exceptions thrown here end the reading.
  using Path = std::vector<std::string>;

  virtual ~JsonVisitor() = default;
  virtual void scalar(const Path& path, const JsonScalar& value) = 0;
  // Around the content of an object or array.
  virtual void begin(const Path& path, bool is_object) = 0;
  virtual void end(const Path& path) = 0;
};
// Errors as parse_json.
void visit_json(std::string_view text, const std::string& origin, JsonVisitor& visitor);

// Prints without ever throwing: ill-formed UTF-8 in strings becomes U+FFFD. indent < 0 prints one line.
std::string dump_json(const Json& value, int indent = -1);
// One line with a space after ':' and ',': how models saw JSON in training, and how they write it.
std::string dump_json_spaced(const Json& value);

}  // namespace lectern
