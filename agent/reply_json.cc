#include "agent/reply_json.h"

#include <algorithm>

#include "base/error.h"

namespace lectern {
namespace {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

std::optional<Json> reply_object(std::string_view reply) {
  const size_t begin = reply.find('{');
  const size_t end = reply.rfind('}');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return std::nullopt;
  try {
    Json value = parse_json(reply.substr(begin, end - begin + 1), "reply of the model");
    if (!value.is_object()) return std::nullopt;
    return value;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::vector<std::string> string_list(const Json& object, const std::string& key) {
  std::vector<std::string> out;
  const auto found = object.find(key);
  if (found == object.end()) return out;
  const Json list = found->is_string() ? Json::array({*found}) : *found;
  if (!list.is_array()) return out;
  for (const Json& item : list) {
    if (!item.is_string()) continue;
    std::string text = trimmed(item.get<std::string>());
    if (!text.empty() && std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
  }
  return out;
}

}  // namespace lectern
