#include "apps/server/access.h"

#include "base/json.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::server;

namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

int status_of(const std::string& method, const std::string& target, Headers headers,
              const AccessRules& rules = {}) {
  Head head;
  head.method = method;
  head.target = target;
  head.headers = std::move(headers);
  const auto refusal = check_access(head, rules);
  return refusal ? refusal->status : 0;
}

int status_of_host(const std::string& host) {
  return status_of("GET", "/", {{"host", host}});
}

}  // namespace

TEST_CASE("only names of the loopback are answered") {
  for (const char* host :
       {"localhost", "LOCALHOST:8642", "127.0.0.1:8642", "127.1.2.3", "[::1]:8642", "[::1]"})
    CHECK(status_of_host(host) == 0);
  for (const char* host :
       {"evil.example", "evil.example:8642", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
        "[::2]", "[::1", "", "localhost:8642:1", "127.0.0.1@evil"})
    CHECK(status_of_host(host) == 403);
  CHECK(status_of("GET", "/", {}) == 400);
  CHECK(status_of("GET", "/", {{"host", "localhost"}, {"host", "evil"}}) == 400);
  AccessRules rules;
  rules.host_names = {"box.local"};
  CHECK(status_of("GET", "/", {{"host", "box.local:80"}}, rules) == 0);
  rules.check_host = false;
  CHECK(status_of("GET", "/", {{"host", "anything"}}, rules) == 0);
}

TEST_CASE("requests of other sites are refused") {
  const auto with = [](const std::string& name, const std::string& value,
                       const std::string& target = "/health") {
    return status_of("GET", target, {{"host", "localhost:8642"}, {name, value}});
  };
  CHECK(with("origin", "http://localhost:8642") == 0);
  CHECK(with("origin", "http://localhost:9999") == 403);
  CHECK(with("origin", "http://evil.example") == 403);
  CHECK(with("origin", "null") == 403);
  CHECK(with("origin", "") == 403);
  CHECK(with("sec-fetch-site", "cross-site", "/lectern/collections") == 403);
  CHECK(with("sec-fetch-site", "same-site", "/v1/models") == 403);
  CHECK(with("sec-fetch-site", "same-origin", "/lectern/collections") == 0);
  CHECK(with("sec-fetch-site", "cross-site", "/") == 0);  // a link to the page
}

TEST_CASE("posts are JSON") {
  const auto with = [](const std::string& type, const std::string& target = "/lectern/search") {
    return status_of("POST", target, {{"host", "localhost"}, {"content-type", type}});
  };
  CHECK(with("application/json") == 0);
  CHECK(with("Application/JSON; charset=utf-8") == 0);
  CHECK(with("text/plain") == 415);
  CHECK(with("application/x-www-form-urlencoded") == 415);
  CHECK(with("application/jsonx") == 415);
  CHECK(with("multipart/form-data; boundary=x") == 415);
  CHECK(with("multipart/form-data; boundary=x", "/v1/files") == 0);
  CHECK(status_of("POST", "/lectern/search", {{"host", "localhost"}}) == 415);
  CHECK(status_of("TRACE", "/", {{"host", "localhost"}}) == 405);
  CHECK(status_of("OPTIONS", "/", {{"host", "localhost"}}) == 405);
}

TEST_CASE("with a key everything but the page and the health asks for it") {
  AccessRules rules;
  rules.api_key = "0123456789abcdef";
  const auto with = [&](const std::string& value, const std::string& target) {
    Headers headers{{"host", "localhost"}};
    if (!value.empty()) headers.emplace_back("authorization", value);
    return status_of("GET", target, headers, rules);
  };
  CHECK(with("", "/") == 0);
  CHECK(with("", "/app.js") == 0);
  CHECK(with("", "/health") == 0);
  for (const char* target :
       {"/lectern/collections", "/v1/models", "/api/tags", "/metrics", "/openapi.json", "/mcp"}) {
    CHECK(with("", target) == 401);
    CHECK(with("Bearer 0123456789abcdeX", target) == 401);
    CHECK(with("Bearer 0123456789abcdef0", target) == 401);
    CHECK(with("Basic 0123456789abcdef", target) == 401);
    CHECK(with("bearer 0123456789abcdef", target) == 0);
  }
}

TEST_CASE("errors have one shape") {
  const Json json = parse_json(error_body(503, "busy \"now\"", "overloaded"), "error");
  CHECK(json["error"]["message"] == "busy \"now\"");
  CHECK(json["error"]["type"] == "overloaded_error");
  CHECK(json["error"]["param"].is_null());
  CHECK(json["error"]["code"] == "overloaded");
}
