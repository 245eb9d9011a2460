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

Json media(const std::string& type, Json schema) {
  Json content;
  content[type]["schema"] = std::move(schema);
  return content;
}

Json take(Json& object, const char* key) {
  if (!object.contains(key)) return nullptr;
  Json value = object[key];
  object.erase(key);
  return value;
}

void write_out_response(Json& response) {
  Json content = Json::object();
  if (Json schema = take(response, "json"); !schema.is_null())
    content.update(media("application/json", std::move(schema)));
  if (!take(response, "events").is_null()) content["text/event-stream"] = Json::object();
  if (const Json type = take(response, "text"); !type.is_null())
    content.update(media(type.get<std::string>(), {{"type", "string"}}));
  if (!response.contains("description")) response["description"] = "Done";
  if (!content.empty()) response["content"] = std::move(content);
}

void write_out_operation(Json& operation, const Json& tag) {
  operation["tags"] = Json::array({tag["name"]});
  if (Json body = take(operation, "body"); !body.is_null()) {
    Json content = media("application/json", body["schema"]);
    content["application/json"]["example"] = body["example"];
    operation["requestBody"] = {{"required", !body.contains("optional")}, {"content", std::move(content)}};
  }
  if (Json form = take(operation, "form"); !form.is_null())
    operation["requestBody"] = {{"required", true},
                                {"content", media("multipart/form-data", std::move(form))}};
  if (!take(operation, "public").is_null()) operation["security"] = Json::array();
  for (auto& [status, response] : operation["responses"].items()) write_out_response(response);
  operation["responses"]["default"] = {{"$ref", "#/components/responses/Error"}};
}

Json page_path(const EmbeddedFile& file) {
  Json operation{{"operationId", "page " + std::string(file.name)}, {"summary", "A file of the web page"}};
  operation["public"] = true;
  operation["responses"]["200"] = {{"description", "The file"}};
  write_out_operation(operation, {{"name", "page"}});
  return {{"get", std::move(operation)}};
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

Json openapi_document(const std::string& version) {
  Json document{{"openapi", "3.1.0"}};
  document["info"] = {{"title", "Lectern"},
                      {"version", version},
                      {"description", "Search and questions over your documents, on your own machine."}};
  document["security"] = Json::array({Json::object(), Json{{"key", Json::array()}}});
  document["tags"] = Json::array();
  document["paths"] = Json::object();
  Json components = api_file("components.json");
  components["schemas"].update(api_file("schemas.json"));
  for (const char* name : {"own.json", "openai.json", "files.json", "responses.json", "ollama.json",
                           "mcp.json", "health.json"}) {
    Json family = api_file(name);
    document["tags"].push_back(family["tag"]);
    for (auto& [path, operations] : family["paths"].items()) {
      for (auto& [method, operation] : operations.items()) write_out_operation(operation, family["tag"]);
      document["paths"][path] = operations;
    }
    for (const char* kind : {"schemas", "parameters"})
      if (family.contains(kind)) components[kind].update(family[kind]);
  }
  document["tags"].push_back({{"name", "page"}, {"description", "The web page, compiled in."}});
  for (const EmbeddedFile& file : kWebFiles) {
    document["paths"]["/" + std::string(file.name)] = page_path(file);
    if (std::string_view(file.name) == "index.html") document["paths"]["/"] = page_path({"", file.content});
  }
  document["components"] = std::move(components);
  return document;
}

}  // namespace lectern::server
