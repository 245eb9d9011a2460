// The head of an HTTP/1.1 request, as the gate reads it: strict, with limits, before anything else of the
// request is looked at. Pure functions, safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lectern::server {

inline constexpr size_t kMaxHeadBytes = 16 << 10;
inline constexpr size_t kMaxHeaderLines = 64;
inline constexpr size_t kMaxHeaderLineBytes =
    8000;  // longer ones would be refused further in without a reason
inline constexpr size_t kMaxTargetBytes = 2048;

// Why a request is not served: an HTTP status and what the client is told.
struct Refusal {
  int status = 400;
  std::string message;
  std::string code;  // for programs, "" none
};

struct Head {
  std::string method;
  std::string target;                                        // "/path?query"
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  uint64_t content_length = 0;
  bool expects_continue = false;

  std::string_view path() const;  // the target without its query
  size_t count(std::string_view name) const;
  std::string_view get(std::string_view name) const;  // the first, "" when there is none
};

// Where the head ends (behind its empty line), npos when it is not there yet. `searched`: bytes that an
// earlier call has seen.
size_t find_head_end(std::string_view text, size_t searched);

// `text`: the head with its empty line. Says why not for what is no plain HTTP/1.1 request: bare line feeds,
// folded lines, control characters, transfer codings (411), encoded bodies (415), two lengths.
std::optional<Refusal> parse_head(std::string_view text, Head& head);

// The request as it is handed on: one length, the connection closes, no compression and no ranges are asked
// for, headers of ours that came from outside are gone, and `id` says which request it is.
std::string forwarded_head(const Head& head, std::string_view id);
inline constexpr std::string_view kRequestIdHeader = "x-lectern-request";
// Here the content type of a form goes on, so that the HTTP library leaves its body alone (multipart.h).
inline constexpr std::string_view kFormTypeHeader = "x-lectern-form";

bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace lectern::server
