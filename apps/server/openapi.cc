#include "apps/server/openapi.h"

#include <set>
#include <string>

#include "apps/server/embedded_files.h"
#include "base/error.h"

namespace lectern::server {
namespace {

constexpr std::string_view kShared = "#/components/schemas/";

// Points every reference into the schema's own definitions, and collects the names.
void localize(Json& schema, std::set<std::string>& names) {
  if (schema.is_array()) {
    for (Json& item : schema) localize(item, names);
  }
  if (!schema.is_object()) return;
  for (auto& [key, value] : schema.items()) {
    if (key == "$ref" && value.is_string() && value.get<std::string>().starts_with(kShared)) {
      const std::string name = value.get<std::string>().substr(kShared.size());
      names.insert(name);
      value = "#/$defs/" + name;
    } else {
      localize(value, names);
    }
  }
}

}  // namespace

Json api_file(std::string_view name) {
  for (const EmbeddedFile& file : kApiFiles)
    if (file.name == name) return parse_json(file.content, std::string(name));
  LECTERN_CHECK(false);
  return {};
}

Json with_definitions(const Json& schema) {
  const Json shared = api_file("schemas.json");
  Json whole = schema;
  std::set<std::string> wanted, done;
  // A schema that is nothing but a reference becomes what it refers to: tools need an object here.
  if (whole.contains("$ref")) whole = shared.at(whole["$ref"].get<std::string>().substr(kShared.size()));
  localize(whole, wanted);
  Json definitions = Json::object();
  while (done.size() < wanted.size()) {
    const std::set<std::string> now = wanted;
    for (const std::string& name : now) {
      if (!done.insert(name).second) continue;
      definitions[name] = shared.at(name);
      localize(definitions[name], wanted);
    }
  }
  if (!definitions.empty()) whole["$defs"] = std::move(definitions);
  return whole;
}

}  // namespace lectern::server
