// multipart/form-data (RFC 7578), strict and bounded. We read it ourselves: the parser of Debian's
// cpp-httplib matches regular expressions against lines of any length, which recurses once a character. Pure
// functions; what they return points into the body.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lectern::server {

inline constexpr size_t kMaxFormParts = 16;
inline constexpr size_t kMaxPartHeadBytes = 4096;

struct FormPart {
  std::string name;
  std::optional<std::string> filename;
  std::string_view body;
};

// The boundary that a Content-Type names: 1 to 70 characters of those that RFC 2046 allows. Throws
// HttpError(400).
std::string form_boundary(std::string_view content_type);
// The parts, in order. Throws HttpError(400) that says what is wrong.
std::vector<FormPart> parse_form(std::string_view body, const std::string& boundary);

}  // namespace lectern::server
