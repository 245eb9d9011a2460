#include "engine/grammar_schema.h"

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr size_t kMaxPlaceBytes = 200;  // of where something stands, for errors

// One thing still to be compiled; a stack of these stands in for recursion.
struct Task {
  enum class Kind { kSchema, kLiteral, kEndArray };
  Kind kind;
  const Json* schema = nullptr;
  std::string text;  // kSchema: where it stands, such as "$.items"; kLiteral: its bytes
};

[[noreturn]] void fail(ErrorCode code, const std::string& where, const std::string& why) {
  throw Error(code, "JSON schema, " + where + ": " + why);
}

// Where a part stands. Long and deep names are cut: every property at hand keeps its place.
std::string place(const std::string& where, std::string_view name) {
  return std::string(
      utf8::prefix(where + "." + std::string(utf8::prefix(name, kMaxPlaceBytes)), kMaxPlaceBytes));
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void check_keywords(const Json& schema, const std::string& type, const std::string& where) {
  for (const auto& [keyword, value] : schema.items()) {
    if (is_one_of(keyword, {"type", "enum", "const", "title", "description", "default", "examples", "$schema",
                            "$id", "$comment"}))
      continue;
    if (type == "object" && is_one_of(keyword, {"properties", "required", "additionalProperties"})) continue;
    if (type == "array" && is_one_of(keyword, {"items", "minItems", "maxItems"})) continue;
    if (type == "string" && is_one_of(keyword, {"minLength", "maxLength"})) continue;
    fail(ErrorCode::kUnsupported, where, "the keyword '" + keyword + "' is not supported here");
  }
}

uint32_t read_count(const Json& schema, const char* keyword, uint32_t otherwise, const std::string& where) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return otherwise;
  const bool fits = found->is_number_integer() && *found >= 0 && *found <= GrammarAutomaton::kMaxCount;
  if (!fits)
    fail(ErrorCode::kInvalidArgument, where,
         "'" + std::string(keyword) + "' must be a whole number from 0 to " +
             std::to_string(GrammarAutomaton::kMaxCount));
  return found->get<uint32_t>();
}

struct Range {
  uint32_t min, max;
};

Range read_range(const Json& schema, const char* min_keyword, const char* max_keyword, uint32_t default_max,
                 const std::string& where) {
  const uint32_t min = read_count(schema, min_keyword, 0, where);
  const uint32_t max = read_count(schema, max_keyword, std::max(min, default_max), where);
  if (min > max)
    fail(ErrorCode::kInvalidArgument, where,
         "'" + std::string(min_keyword) + "' is larger than '" + max_keyword + "'");
  return {min, max};
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  return type == "null" && value.is_null();
}

// The values of enum and const, as they will be written; empty when the schema has neither.
std::vector<std::string> read_values(const Json& schema, const std::string& type, const std::string& where) {
  std::vector<std::string> texts;
  const auto add = [&](const Json& value) {
    if (value.is_structured() || (!type.empty() && !has_type(value, type)))
      fail(ErrorCode::kUnsupported, where,
           "'enum' and 'const' can hold strings, numbers, booleans and null, of the type given");
    texts.push_back(dump_json(value));
  };
  const auto constant = schema.find("const"), choices = schema.find("enum");
  if (constant != schema.end() && choices != schema.end())
    fail(ErrorCode::kUnsupported, where, "'enum' and 'const' cannot stand together");
  if (constant != schema.end()) add(*constant);
  if (choices != schema.end()) {
    if (!choices->is_array() || choices->empty())
      fail(ErrorCode::kInvalidArgument, where, "'enum' must be a list of at least one value");
    for (const Json& value : *choices) add(value);
  }
  return texts;
}

class SchemaCompiler {
 public:
  GrammarAutomaton compile(const Json& schema) {
    tasks_.push_back({Task::Kind::kSchema, &schema, "$"});
    while (!tasks_.empty()) {
      const Task task = std::move(tasks_.back());
      tasks_.pop_back();
      switch (task.kind) {
        case Task::Kind::kSchema:
          compile_one(*task.schema, task.text);
          break;
        case Task::Kind::kLiteral:
          automaton_.add_literal(task.text);
          break;
        case Task::Kind::kEndArray:
          automaton_.end_array();
          break;
      }
    }
    return std::move(automaton_);
  }

 private:
  void compile_one(const Json& schema, const std::string& where) {
    if (!schema.is_object()) fail(ErrorCode::kUnsupported, where, "a schema must be an object");
    std::string type;
    if (const auto found = schema.find("type"); found != schema.end()) {
      if (!found->is_string()) fail(ErrorCode::kUnsupported, where, "'type' must be one name");
      type = found->get<std::string>();
      if (!is_one_of(type, {"object", "array", "string", "integer", "number", "boolean", "null"}))
        fail(ErrorCode::kUnsupported, where, "there is no type '" + type + "'");
    }
    check_keywords(schema, type, where);
    const std::vector<std::string> values = read_values(schema, type, where);
    if (!values.empty()) {
      automaton_.add_choice(values);
    } else if (type.empty()) {
      fail(ErrorCode::kUnsupported, where, "a schema needs 'type', 'enum' or 'const'");
    } else {
      compile_type(schema, type, where);
    }
  }

  void compile_type(const Json& schema, const std::string& type, const std::string& where) {
    static const std::string kBooleans[] = {"true", "false"};
    if (type == "object") {
      compile_object(schema, where);
    } else if (type == "array") {
      compile_array(schema, where);
    } else if (type == "string") {
      const Range length = read_range(schema, "minLength", "maxLength", kDefaultMaxLength, where);
      automaton_.add_string(length.min, length.max);
    } else if (type == "boolean") {
      automaton_.add_choice(kBooleans);
    } else if (type == "null") {
      automaton_.add_literal("null");
    } else {
      automaton_.add_number(type == "integer");
    }
  }

  void compile_object(const Json& schema, const std::string& where) {
    const auto properties = schema.find("properties");
    if (properties == schema.end() || !properties->is_object())
      fail(ErrorCode::kUnsupported, where, "an object needs 'properties'");
    check_object_keywords(schema, *properties, where);
    std::vector<Task> parts;
    std::string separator = "{";
    for (const auto& [name, value] : properties->items()) {
      parts.push_back({Task::Kind::kLiteral, nullptr, separator + dump_json(Json(name)) + ": "});
      parts.push_back({Task::Kind::kSchema, &value, place(where, name)});
      separator = ", ";
    }
    parts.push_back({Task::Kind::kLiteral, nullptr, parts.empty() ? "{}" : "}"});
    std::move(parts.rbegin(), parts.rend(), std::back_inserter(tasks_));
  }

  // Every property is written, so all that can be asked for is that the names are known.
  static void check_object_keywords(const Json& schema, const Json& properties, const std::string& where) {
    if (const auto required = schema.find("required"); required != schema.end()) {
      const auto is_property = [&](const Json& name) {
        return name.is_string() && properties.contains(name.get<std::string>());
      };
      if (!required->is_array() || !std::all_of(required->begin(), required->end(), is_property))
        fail(ErrorCode::kInvalidArgument, where, "'required' must list names of 'properties'");
    }
    const auto additional = schema.find("additionalProperties");
    if (additional != schema.end() && !additional->is_boolean())
      fail(ErrorCode::kUnsupported, where, "'additionalProperties' can only be true or false");
  }

  void compile_array(const Json& schema, const std::string& where) {
    const auto items = schema.find("items");
    if (items == schema.end()) fail(ErrorCode::kUnsupported, where, "an array needs 'items'");
    const Range count = read_range(schema, "minItems", "maxItems", kDefaultMaxItems, where);
    automaton_.begin_array(count.min, count.max);
    tasks_.push_back({Task::Kind::kEndArray, nullptr, {}});
    tasks_.push_back({Task::Kind::kSchema, &*items, place(where, "items")});
  }

  GrammarAutomaton automaton_;
  std::vector<Task> tasks_;
};

}  // namespace

GrammarAutomaton compile_json_schema(const Json& schema) {
  return SchemaCompiler().compile(schema);
}

}  // namespace lectern
