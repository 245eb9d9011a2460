#include "base/json.h"

#include "base/error.h"

namespace lectern {
namespace {

// Brackets outside strings, counted without building anything.
void check_depth(std::string_view text, const std::string& origin) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) {
        throw Error(ErrorCode::kCorrupt, origin + ": JSON nested deeper than " +
                                             std::to_string(kMaxJsonDepth) + " levels at byte " +
                                             std::to_string(i));
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& origin) {
  check_depth(text, origin);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    throw Error(ErrorCode::kCorrupt, origin + ": not valid JSON at byte " + std::to_string(error.byte));
  }
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lectern
