#include "apps/server/http_head.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"

namespace lectern::server {
namespace {

bool is_token_character(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

bool is_visible(char c) {
  return c > ' ' && c < 0x7f;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<Refusal> parse_request_line(std::string_view line, Head& head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return Refusal{400, "the request line is not METHOD TARGET HTTP/1.1", "bad_request_line"};
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || method.size() > 16)
    return Refusal{400, "the method is not a token", "bad_request_line"};
  if (target.size() > kMaxTargetBytes)
    return Refusal{414, "the target is longer than " + std::to_string(kMaxTargetBytes) + " bytes",
                   "uri_too_long"};
  if (target.empty() || target.front() != '/' || !std::all_of(target.begin(), target.end(), is_visible))
    return Refusal{400, "the target must be a path that begins with /", "bad_request_line"};
  if (version != "HTTP/1.1") return Refusal{505, "only HTTP/1.1 is spoken here", "bad_version"};
  head.method = method;
  head.target = target;
  return std::nullopt;
}

std::optional<Refusal> parse_header(std::string_view line, Head& head) {
  if (line.size() > kMaxHeaderLineBytes)
    return Refusal{431, "a header line is longer than " + std::to_string(kMaxHeaderLineBytes) + " bytes",
                   "header_too_large"};
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(name))
    return Refusal{400, "a header line is not NAME: VALUE", "bad_header"};
  const std::string_view value = trimmed(line.substr(colon + 1));
  const auto is_control = [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; };
  if (std::any_of(value.begin(), value.end(), is_control))
    return Refusal{400, "a header holds control characters", "bad_header"};
  head.headers.emplace_back(ascii_lower(std::string(name)), value);
  return std::nullopt;
}

std::optional<Refusal> read_length(Head& head) {
  if (head.count("transfer-encoding") > 0)
    return Refusal{411, "request bodies come with Content-Length, not in chunks", "length_required"};
  if (const auto encoding = head.get("content-encoding"); !encoding.empty() && encoding != "identity")
    return Refusal{415, "request bodies come as they are, not encoded", "unsupported_encoding"};
  const size_t n = head.count("content-length");
  if (n > 1) return Refusal{400, "Content-Length is given more than once", "bad_header"};
  if (n == 1) {
    const std::string_view text = head.get("content-length");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), head.content_length);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
      return Refusal{400, "Content-Length is not a number", "bad_header"};
  }
  if (const auto expect = head.get("expect"); !expect.empty()) {
    if (!equal_ignoring_case(expect, "100-continue"))
      return Refusal{417, "of Expect only 100-continue is known", "bad_header"};
    head.expects_continue = true;
  }
  return std::nullopt;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return ascii_lower(x) == ascii_lower(y); });
}

std::string_view Head::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

size_t Head::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(),
                                           [&](const auto& header) { return header.first == name; }));
}

std::string_view Head::get(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

size_t find_head_end(std::string_view text, size_t searched) {
  const size_t at = text.find("\r\n\r\n", searched > 3 ? searched - 3 : 0);
  return at == std::string_view::npos ? at : at + 4;
}

std::optional<Refusal> parse_head(std::string_view text, Head& head) {
  head = Head();
  if (text.size() > kMaxHeadBytes)
    return Refusal{431, "the head is longer than " + std::to_string(kMaxHeadBytes) + " bytes",
                   "header_too_large"};
  bool first = true, complete = false;
  while (!text.empty()) {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return Refusal{400, "a line of the head has no end", "bad_header"};
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (line.find_first_of("\r\n") != std::string_view::npos)
      return Refusal{400, "a line of the head ends without CR LF", "bad_header"};
    complete = line.empty() && !first;
    if (complete) break;
    if (!first && head.headers.size() >= kMaxHeaderLines)
      return Refusal{431, "there are more than " + std::to_string(kMaxHeaderLines) + " header lines",
                     "header_too_large"};
    if (auto refusal = first ? parse_request_line(line, head) : parse_header(line, head)) return refusal;
    first = false;
  }
  if (!complete || !text.empty()) return Refusal{400, "the head is not complete", "bad_header"};
  return read_length(head);
}

std::string forwarded_head(const Head& head, std::string_view id) {
  // Authorization was checked at the door; the others would change how the reply is framed or written.
  static constexpr std::array<std::string_view, 14> kLeftOut = {"connection",
                                                                "keep-alive",
                                                                "transfer-encoding",
                                                                "upgrade",
                                                                "te",
                                                                "trailer",
                                                                "expect",
                                                                "range",
                                                                "accept-encoding",
                                                                "content-encoding",
                                                                "if-range",
                                                                "content-length",
                                                                "authorization",
                                                                "proxy-authorization"};
  std::string text = head.method + " " + head.target + " HTTP/1.1\r\n";
  for (const auto& [name, value] : head.headers) {
    if (std::find(kLeftOut.begin(), kLeftOut.end(), name) != kLeftOut.end()) continue;
    // The HTTP library keeps facts of its own under such names.
    if (name.starts_with("x-lectern-") || name.starts_with("remote_") || name.starts_with("local_")) continue;
    const bool is_form = name == "content-type" && value.size() >= 10 &&
                         equal_ignoring_case(std::string_view(value).substr(0, 10), "multipart/");
    text += (is_form ? std::string(kFormTypeHeader) : name) + ": " + value + "\r\n";
  }
  text += std::string(kRequestIdHeader) + ": " + std::string(id) + "\r\n";
  text += "content-length: " + std::to_string(head.content_length) + "\r\nconnection: close\r\n\r\n";
  return text;
}

}  // namespace lectern::server
