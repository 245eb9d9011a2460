#include "apps/server/access.h"

#include <algorithm>

#include <arpa/inet.h>

#include "base/json.h"

namespace lectern::server {
namespace {

// "[::1]:8642" -> "::1", "localhost:8642" -> "localhost"; "" when it is neither.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view rest = authority.substr(end + 1);
    return rest.empty() || rest.front() == ':' ? authority.substr(1, end - 1) : std::string_view();
  }
  const size_t colon = authority.find(':');
  if (colon != std::string_view::npos &&
      authority.substr(colon + 1).find_first_not_of("0123456789") != std::string_view::npos)
    return {};
  return authority.substr(0, colon);
}

std::optional<Refusal> check_host(const Head& head, const AccessRules& rules) {
  if (head.count("host") != 1) return Refusal{400, "a request has one Host header", "bad_header"};
  if (!rules.check_host) return std::nullopt;
  const std::string_view host = host_of(head.get("host"));
  if (is_loopback(host)) return std::nullopt;
  for (const std::string& name : rules.host_names)
    if (equal_ignoring_case(host, name)) return std::nullopt;
  return Refusal{403, "this server answers only as localhost: the Host header names another", "foreign_host"};
}

bool is_page_file(const Head& head) {
  const std::string_view path = head.path();
  if (head.method != "GET" && head.method != "HEAD") return false;
  return !path.starts_with("/lectern/") && !path.starts_with("/v1/") && !path.starts_with("/api/") &&
         path != "/metrics" && path != "/mcp" && path != "/openapi.json";
}

std::optional<Refusal> check_origin(const Head& head) {
  if (head.count("origin") > 1) return Refusal{400, "Origin is given more than once", "bad_header"};
  if (head.count("origin") == 1) {
    std::string_view origin = head.get("origin");
    const size_t scheme = origin.find("://");
    const bool same = scheme != std::string_view::npos && origin.substr(0, scheme) != "null" &&
                      equal_ignoring_case(origin.substr(scheme + 3), head.get("host"));
    if (!same) return Refusal{403, "requests from other web sites are refused", "foreign_origin"};
  }
  const std::string_view site = head.get("sec-fetch-site");
  if ((site == "cross-site" || site == "same-site") && !is_page_file(head))
    return Refusal{403, "requests from other web sites are refused", "foreign_origin"};
  return std::nullopt;
}

std::optional<Refusal> check_key(const Head& head, const AccessRules& rules) {
  if (rules.api_key.empty() || is_page_file(head)) return std::nullopt;
  const std::string_view value = head.get("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() > kScheme.size() && equal_ignoring_case(value.substr(0, kScheme.size()), kScheme) &&
      same_secret(value.substr(kScheme.size()), rules.api_key))
    return std::nullopt;
  return Refusal{401, "the API key is missing or wrong: send Authorization: Bearer KEY", "invalid_api_key"};
}

// A page of another site can send forms and plain text without asking; JSON it cannot.
std::optional<Refusal> check_content_type(const Head& head) {
  if (head.method != "POST") return std::nullopt;
  std::string_view type = head.get("content-type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  if (equal_ignoring_case(type, "application/json")) return std::nullopt;
  if (head.path() == "/v1/files" && equal_ignoring_case(type, "multipart/form-data")) return std::nullopt;
  return Refusal{415, "the body must be JSON, with Content-Type: application/json", "unsupported_media_type"};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

}  // namespace

bool is_loopback(std::string_view host) {
  if (equal_ignoring_case(host, "localhost")) return true;
  const std::string text(host);
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::optional<Refusal> check_access(const Head& head, const AccessRules& rules) {
  if (head.method != "GET" && head.method != "HEAD" && head.method != "POST" && head.method != "DELETE")
    return Refusal{405, "the methods are GET, HEAD, POST and DELETE", "method_not_allowed"};
  if (auto refusal = check_host(head, rules)) return refusal;
  if (auto refusal = check_origin(head)) return refusal;
  if (auto refusal = check_key(head, rules)) return refusal;
  return check_content_type(head);
}

bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

std::vector<std::pair<std::string, std::string>> security_headers() {
  return {
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Cache-Control", "no-store"}};
}

std::string error_body(int status, std::string_view message, std::string_view code, std::string_view param) {
  const auto text_or_null = [](std::string_view text) {
    return text.empty() ? Json(nullptr) : Json(std::string(text));
  };
  const std::string_view type = status == 401                    ? "authentication_error"
                                : status == 403                  ? "permission_error"
                                : status == 429 || status == 503 ? "overloaded_error"
                                : status >= 500                  ? "server_error"
                                                                 : "invalid_request_error";
  return dump_json(Json{{"error",
                         {{"message", std::string(message)},
                          {"type", std::string(type)},
                          {"param", text_or_null(param)},
                          {"code", text_or_null(code)}}}});
}

std::string refusal_reply(const Refusal& refusal, bool with_body) {
  const std::string body = error_body(refusal.status, refusal.message, refusal.code);
  std::string reply = "HTTP/1.1 " + std::to_string(refusal.status) + " " +
                      std::string(reason_phrase(refusal.status)) + "\r\n";
  for (const auto& [name, value] : security_headers()) reply += name + ": " + value + "\r\n";
  if (refusal.status == 503) reply += "Retry-After: 1\r\n";
  if (refusal.status == 401) reply += "WWW-Authenticate: Bearer\r\n";
  if (refusal.status == 405) reply += "Allow: GET, HEAD, POST, DELETE\r\n";
  reply += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n";
  return with_body ? reply + body : reply;
}

}  // namespace lectern::server
