// The document of GET /openapi.json says what the server does: neither more nor less.
#include "apps/server/openapi.h"

#include <regex>
#include <set>

#include "apps/server/requests.h"
#include "apps/server/server.h"
#include "tests/support/catch.h"
#include "tests/support/environment.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::server;

namespace {

// Calls back with every {"$ref": "..."} of a value.
void each_reference(const Json& value, const std::function<void(const std::string&)>& body) {
  if (!value.is_structured()) return;
  for (const auto& [key, item] : value.items()) {
    if (key == "$ref" && item.is_string()) body(item.get<std::string>());
    each_reference(item, body);
  }
}

}  // namespace

TEST_CASE("every route is in the document and the document has no other") {
  const TempFolder folder;
  const ScopedVariable home("XDG_DATA_HOME", folder.path().string());
  Server server(
      {.folders = {}, .listening = {.port = 0}, .models = {}, .limits = {}, .version = "1", .log = {}});
  std::set<std::string> routes, described;
  for (const auto& [method, pattern] : server.routes()) {
    std::string path = std::regex_replace(pattern, std::regex(R"(\([^)]*\))"), "{}");
    path = std::regex_replace(path, std::regex(R"(\\)"), "");
    routes.insert(method + " " + path);
  }
  const Json document = openapi_document("1");
  for (const auto& [path, operations] : document["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      std::string line = method;
      for (char& c : line) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      described.insert(line + " " + std::regex_replace(path, std::regex(R"(\{[^}]*\})"), "{}"));
    }
  }
  CHECK(routes == described);
  CHECK(routes.contains("GET /lectern/collections/{}/documents/{}"));
}

TEST_CASE("what the document refers to is there and is used") {
  const Json document = openapi_document("1");
  std::set<std::string> used;
  each_reference(document, [&](const std::string& reference) {
    INFO(reference);
    REQUIRE(reference.starts_with("#"));
    CHECK(document.contains(Json::json_pointer(reference.substr(1))));
    used.insert(reference);
  });
  for (const char* kind : {"schemas", "parameters", "responses"})
    for (const auto& [name, value] : document["components"][kind].items())
      CHECK(used.contains("#/components/" + std::string(kind) + "/" + name));
}

TEST_CASE("the document's limits are those of the code") {
  const Json schemas = openapi_document("1")["components"]["schemas"];
  CHECK(schemas["SearchRequest"]["properties"]["limit"]["maximum"] == kMaxHits);
  for (const char* name : {"max_tokens", "max_completion_tokens"})
    CHECK(schemas["Sampling"]["properties"][name]["maximum"] == kMaxAnswerTokens);
  CHECK(schemas["AskRequest"]["properties"]["max_tokens"]["maximum"] == kMaxAnswerTokens);
  for (const Json& level : schemas["AskRequest"]["properties"]["level"]["enum"])
    if (level.is_string()) CHECK(parse_level(level.get<std::string>()).has_value());
  for (const Json& tool : api_file("mcp_tools.json")) {
    const Json& properties = tool["inputSchema"]["properties"];
    if (tool["name"] == "search") CHECK(properties["limit"]["maximum"] == kMaxHits);
    if (tool["name"] == "search") CHECK(properties["query"]["maxLength"] == kMaxQueryBytes);
    if (tool["name"] == "ask") CHECK(properties["max_tokens"]["maximum"] == kMaxAnswerTokens);
    if (tool["name"] == "ask") CHECK(properties["question"]["maxLength"] == kMaxQuestionBytes);
  }
}

TEST_CASE("a schema on its own brings what it refers to") {
  const Json schema = with_definitions({{"$ref", "#/components/schemas/Answer"}});
  CHECK(schema["type"] == "object");
  CHECK(schema["$defs"].contains("Citation"));
  CHECK(schema["$defs"].contains("ByteRange"));
  each_reference(schema, [&](const std::string& reference) {
    CHECK(schema.contains(Json::json_pointer(reference.substr(1))));
  });
}
