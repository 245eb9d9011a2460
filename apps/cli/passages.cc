#include "apps/cli/passages.h"

#include "apps/cli/output.h"

namespace lectern::cli {

Json to_json(const Place& place) {
  Json json;
  json["path"] = place.path;
  json["title"] = place.title;
  json["heading"] = place.heading_path;
  json["lines"] = {place.first_line, place.last_line};
  json["pages"] = place.first_page > 0 ? Json{place.first_page, place.last_page} : Json(nullptr);
  return json;
}

std::string indented(const std::string& text, int columns) {
  const std::string margin(static_cast<size_t>(columns), ' ');
  const std::string shown = printable(text, /*keep_newlines=*/true);
  std::string out;
  for (size_t begin = 0; begin < shown.size();) {
    size_t end = shown.find('\n', begin);
    if (end == std::string::npos) end = shown.size();
    out += margin + shown.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return out;
}

}  // namespace lectern::cli
