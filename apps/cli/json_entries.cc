#include "apps/cli/json_entries.h"

#include "base/files.h"

namespace lectern {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// `a "title"`, `an "answer"`.
std::string with_article(const std::string& key) {
  const bool vowel = !key.empty() && std::string_view("aeiou").find(key[0]) != std::string_view::npos;
  return (vowel ? "an \"" : "a \"") + key + "\"";
}

}  // namespace

JsonEntry::JsonEntry(const Json& json, std::string place) : json_(json), place_(std::move(place)) {
  if (!json.is_object()) fail("is no object");
}

const Json& JsonEntry::field(const char* key) const {
  if (!has(key)) fail(std::string("has no \"") + key + "\"");
  return json_[key];
}

std::string JsonEntry::string(const char* key) const {
  const Json& value = field(key);
  if (!value.is_string()) fail("has " + with_article(key) + " that is no string");
  return value.get<std::string>();
}

std::vector<std::string> JsonEntry::strings(const char* key) const {
  const Json& value = field(key);
  std::vector<std::string> out;
  bool good = value.is_array();
  for (const Json& item : value) {
    good = good && item.is_string();
    if (good) out.push_back(item.get<std::string>());
  }
  if (!good) fail("has " + with_article(key) + " that is no list of strings");
  return out;
}

void JsonEntry::fail(const std::string& what) const {
  throw Error(ErrorCode::kCorrupt, place_ + " " + what);
}

void for_each_entry(const std::filesystem::path& path, const std::function<void(const JsonEntry&)>& body) {
  const Json root = parse_json(read_file(path, kMaxFileBytes), path.string());
  if (!root.is_array() || root.empty())
    throw Error(ErrorCode::kCorrupt, path.string() + ": must be a JSON list that is not empty");
  for (size_t i = 0; i < root.size(); ++i)
    body(JsonEntry(root[i], path.string() + ": entry " + std::to_string(i + 1)));
}

}  // namespace lectern
