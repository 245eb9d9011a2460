#include "apps/server/multipart.h"

#include "apps/server/http.h"
#include "base/ascii.h"

namespace lectern::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

[[noreturn]] void wrong(const std::string& what) {
  throw HttpError(400, "the form is not well-formed: " + what, "invalid_form");
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes ";name=value" off the front of `text`; the value may be quoted, with '\' before '"' and '\'.
bool take_parameter(std::string_view& text, std::string& name, std::string& value) {
  text = trimmed(text);
  if (text.empty()) return false;
  if (text.front() != ';') wrong("a parameter does not begin with ';'");
  text = trimmed(text.substr(1));
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) wrong("a parameter has no value");
  name = ascii_lower(std::string(trimmed(text.substr(0, equals))));
  text = trimmed(text.substr(equals + 1));
  value.clear();
  if (!text.starts_with('"')) {
    const size_t end = std::min(text.find(';'), text.size());
    value = std::string(trimmed(text.substr(0, end)));
    text.remove_prefix(end);
    return true;
  }
  size_t at = 1;
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == '"' || text[at + 1] == '\\')) ++at;
    value += text[at];
  }
  if (at >= text.size()) wrong("a quoted value has no end");
  text.remove_prefix(at + 1);
  return true;
}

// What browsers write for line breaks and quotes in names.
std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i, 3);
    const char c = rest == "%22" ? '"' : rest == "%0D" || rest == "%0A" ? ' ' : '\0';
    out += c != '\0' ? c : text[i];
    if (c != '\0') i += 2;
  }
  return out;
}

void read_disposition(std::string_view value, FormPart& part) {
  const size_t end = std::min(value.find(';'), value.size());
  if (!equal_ignoring_case(trimmed(value.substr(0, end)), "form-data")) wrong("a part is not form-data");
  value.remove_prefix(end);
  std::string name, text;
  while (take_parameter(value, name, text)) {
    if (name == "name") part.name = unescaped(text);
    if (name == "filename") part.filename = unescaped(text);
  }
  if (part.name.empty()) wrong("a part has no name");
}

FormPart read_part(std::string_view text) {
  FormPart part;
  bool described = false;
  for (;;) {
    const size_t end = text.substr(0, kMaxPartHeadBytes).find(kLineEnd);
    if (end == std::string_view::npos)
      wrong("the head of a part has no end within " + std::to_string(kMaxPartHeadBytes) + " bytes a line");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + kLineEnd.size());
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) wrong("a line of a part's head has no ':'");
    const std::string_view name = line.substr(0, colon);
    if (equal_ignoring_case(name, "content-disposition")) {
      if (described) wrong("a part is described twice");
      described = true;
      read_disposition(trimmed(line.substr(colon + 1)), part);
    } else if (equal_ignoring_case(name, "content-transfer-encoding")) {
      const std::string_view coding = trimmed(line.substr(colon + 1));
      if (!equal_ignoring_case(coding, "binary") && !equal_ignoring_case(coding, "8bit") &&
          !equal_ignoring_case(coding, "7bit"))
        wrong("a part is encoded");
    }
  }
  if (!described) wrong("a part has no Content-Disposition");
  part.body = text;
  return part;
}

}  // namespace

std::string form_boundary(std::string_view content_type) {
  std::string_view rest = content_type.substr(std::min(content_type.find(';'), content_type.size()));
  std::string name, value;
  while (take_parameter(rest, name, value)) {
    if (name != "boundary") continue;
    const bool plain = !value.empty() && value.size() <= 70 && value.back() != ' ' &&
                       value.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'()+_,-./:=? ") ==
                           std::string::npos;
    if (!plain) wrong("its boundary has characters or a length that are not allowed");
    return value;
  }
  wrong("its Content-Type names no boundary");
}

std::vector<FormPart> parse_form(std::string_view body, const std::string& boundary) {
  const std::string first = "--" + boundary, next = "\r\n--" + boundary;
  if (!body.starts_with(first)) wrong("it does not begin with its boundary");
  body.remove_prefix(first.size());
  std::vector<FormPart> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with(kLineEnd)) wrong("a boundary is followed by other text");
    body.remove_prefix(kLineEnd.size());
    const size_t end = body.find(next);
    if (end == std::string_view::npos) wrong("its last boundary is missing");
    if (parts.size() == kMaxFormParts) wrong("it has more than " + std::to_string(kMaxFormParts) + " parts");
    parts.push_back(read_part(body.substr(0, end)));
    body.remove_prefix(end + next.size());
  }
  body.remove_prefix(2);
  if (!body.empty() && body != kLineEnd) wrong("there is text after its end");
  return parts;
}

}  // namespace lectern::server
