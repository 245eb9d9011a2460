// How passages are shown: their place in words, and as JSON.
#pragma once

#include <cstdint>
#include <string>

#include "agent/agent.h"
#include "base/json.h"
#include "retrieval/collection.h"

namespace lectern::cli {

// Where a passage stands, as search and citations give it.
struct Place {
  std::string path;
  std::string title;
  std::string heading_path;
  int first_line = 0, last_line = 0;
  int first_page = 0, last_page = 0;  // 0: no pages
};
Place place_of(const Passage& passage);
Place place_of(const SearchHit& hit);  // with the heading of the section that was hit
Place place_of(const SourcePassage& passage);

// "notes/a.md:3-9" or "paper.pdf:p4": what `lectern read` takes.
std::string reference(const Place& place);
// The same, with the heading: "notes/a.md:3-9  Chapter > Section".
std::string describe(const Place& place);

// {"path", "title", "heading", "lines": [first, last], "pages": [first, last] or null}
Json to_json(const Place& place);

// `text` with every line indented, control characters made visible.
std::string indented(const std::string& text, int columns);

}  // namespace lectern::cli
