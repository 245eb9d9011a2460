#include "apps/server/filters.h"

#include <algorithm>
#include <optional>

#include "apps/server/http.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxAttributes = 16, kMaxKeyBytes = 64, kMaxValueBytes = 512;

[[noreturn]] void wrong(const std::string& what) {
  throw HttpError(400, "\"filters\" " + what, "invalid_value", "filters");
}

bool is_scalar(const Json& json) {
  return json.is_string() || json.is_number() || json.is_boolean();
}

// -1, 0, 1; none: they cannot be compared.
std::optional<int> compared(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.is_string() && b.is_string()) {
    const int order = a.get_ref<const std::string&>().compare(b.get_ref<const std::string&>());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a.is_boolean() && b.is_boolean() && a == b) return 0;
  return std::nullopt;
}

}  // namespace

AttributeFilter::AttributeFilter(const Json& json) : root_(read(json, 1)) {}

size_t AttributeFilter::read(const Json& json, int depth) {
  if (depth > kMaxDepth) wrong("are nested deeper than " + std::to_string(kMaxDepth) + " levels");
  if (!json.is_object()) wrong("are objects with a \"type\"");
  if (nodes_.size() >= kMaxConditions)
    wrong("have more than " + std::to_string(kMaxConditions) + " conditions");
  const Fields fields(json);
  Node node;
  const Json* type = fields.find("type");
  if (type != nullptr && type->is_string()) node.type = type->get<std::string>();
  const size_t index = nodes_.size();
  nodes_.emplace_back();
  if (node.type == "and" || node.type == "or") {
    const Json* parts = fields.find("filters");
    if (parts == nullptr || !parts->is_array() || parts->empty())
      wrong("of type and, or need a list \"filters\"");
    for (const Json& part : *parts) node.children.push_back(read(part, depth + 1));
  } else {
    static constexpr std::string_view kTypes[] = {"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"};
    if (std::find(std::begin(kTypes), std::end(kTypes), node.type) == std::end(kTypes))
      wrong("have a type of eq, ne, gt, gte, lt, lte, in, nin, and, or");
    const Json* key = fields.find("key");
    if (key == nullptr || !key->is_string()) wrong("of type " + node.type + " need a \"key\"");
    node.key = key->get<std::string>();
    const Json* value = fields.find("value");
    const bool list = node.type == "in" || node.type == "nin";
    const bool fits = value != nullptr && (list ? value->is_array() && value->size() <= kMaxValues &&
                                                      std::all_of(value->begin(), value->end(), is_scalar)
                                                : is_scalar(*value));
    if (!fits)
      wrong("of type " + node.type + " need as \"value\" " +
            (list ? "a list of strings, numbers or booleans" : "a string, number or boolean"));
    node.value = *value;
  }
  nodes_[index] = std::move(node);
  return index;
}

bool AttributeFilter::matches(const Json& attributes) const {
  return matches(nodes_[root_], attributes);
}

bool AttributeFilter::matches(const Node& node, const Json& attributes) const {
  const auto holds = [&](size_t child) { return matches(nodes_[child], attributes); };
  if (node.type == "and") return std::all_of(node.children.begin(), node.children.end(), holds);
  if (node.type == "or") return std::any_of(node.children.begin(), node.children.end(), holds);
  const auto found = attributes.find(node.key);
  const bool there = found != attributes.end();
  const auto equals = [&](const Json& value) { return there && compared(*found, value) == 0; };
  if (node.type == "eq") return equals(node.value);
  if (node.type == "ne") return !equals(node.value);
  if (node.type == "in") return std::any_of(node.value.begin(), node.value.end(), equals);
  if (node.type == "nin") return std::none_of(node.value.begin(), node.value.end(), equals);
  if (!there || found->is_boolean()) return false;
  const auto order = compared(*found, node.value);
  if (!order) return false;
  if (node.type == "gt") return *order > 0;
  if (node.type == "gte") return *order >= 0;
  return node.type == "lt" ? *order < 0 : *order <= 0;
}

Json read_attributes(const Json* json, const char* field, bool only_texts) {
  const auto fail = [&](const std::string& what) {
    throw HttpError(400, "\"" + std::string(field) + "\" " + what, "invalid_value", field);
  };
  if (json == nullptr || json->is_null()) return Json::object();
  if (!json->is_object() || json->size() > kMaxAttributes)
    fail("must be an object of at most " + std::to_string(kMaxAttributes) + " pairs");
  for (const auto& [key, value] : json->items()) {
    if (key.empty() || key.size() > kMaxKeyBytes)
      fail("has a key that is empty or longer than " + std::to_string(kMaxKeyBytes) + " bytes");
    const bool fits = value.is_string() ? value.get_ref<const std::string&>().size() <= kMaxValueBytes
                                        : !only_texts && (value.is_number() || value.is_boolean());
    if (!fits)
      fail("has a value that is not " + std::string(only_texts ? "a string" : "a string, number or boolean") +
           " of at most " + std::to_string(kMaxValueBytes) + " bytes");
  }
  return *json;
}

}  // namespace lectern::server
