// Who may ask what: checked on the head of a request, before its body is read. Pure functions, safe from any
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/http_head.h"

namespace lectern::server {

struct AccessRules {
  // Only these names (and addresses of the loopback) may stand in Host: a foreign name that leads here is a
  // web page's trick (DNS rebinding). Off for a UNIX socket, and off the loopback, where the key decides.
  bool check_host = true;
  std::vector<std::string> host_names;  // besides localhost and the loopback's addresses
  std::string api_key;                  // "": none is asked for
};

bool is_loopback(std::string_view host);  // a name or an address, without port and brackets

// Checks, in this order: method, Host, Origin (and what a browser says of cross-site requests), API key,
// content type. The page's own files and /health are given without a key.
std::optional<Refusal> check_access(const Head& head, const AccessRules& rules);

// Takes the same time for all keys of one length.
bool same_secret(std::string_view a, std::string_view b);

// Of every reply: what a browser may do with it.
std::vector<std::pair<std::string, std::string>> security_headers();

// {"error": {"message", "type", "param", "code"}}
std::string error_body(int status, std::string_view message, std::string_view code,
                       std::string_view param = {});
// The whole reply, head and body, after which the connection closes.
std::string refusal_reply(const Refusal& refusal, bool with_body);

}  // namespace lectern::server
