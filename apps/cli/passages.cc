#include "apps/cli/passages.h"

#include "apps/cli/output.h"

namespace lectern::cli {
namespace {

std::string range(int first, int last) {
  return std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
}

}  // namespace

Place place_of(const Passage& passage) {
  return {.path = passage.path,
          .title = passage.title,
          .heading_path = passage.chunk.heading_path,
          .first_line = passage.chunk.first_line,
          .last_line = passage.chunk.last_line,
          .first_page = passage.chunk.first_page,
          .last_page = passage.chunk.last_page};
}

Place place_of(const SearchHit& hit) {
  Place place = place_of(hit.passage);
  place.heading_path = hit.heading_path;
  return place;
}

Place place_of(const SourcePassage& passage) {
  return {.path = passage.path,
          .title = passage.title,
          .heading_path = passage.heading_path,
          .first_line = passage.first_line,
          .last_line = passage.last_line,
          .first_page = passage.first_page,
          .last_page = passage.last_page};
}

std::string reference(const Place& place) {
  return printable(place.path) + (place.first_page > 0 ? ":p" + range(place.first_page, place.last_page)
                                                       : ":" + range(place.first_line, place.last_line));
}

std::string describe(const Place& place) {
  return reference(place) + (place.heading_path.empty() ? "" : "  " + printable(place.heading_path));
}

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
