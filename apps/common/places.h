// Where passages stand in documents, in words: how citations are written, and how what people write is found
// again. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "agent/agent.h"
#include "apps/common/byte_ranges.h"
#include "retrieval/collection.h"

namespace lectern {

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

// What `lectern read` and the tool `read` take: "path", "path:3", "path:3-9", "path:p4", "path:p4-5" or "#17"
// (a chunk's id, as search prints it).
struct Reference {
  std::string path;
  int64_t chunk_id = -1;
  bool is_page = false;
  int first = 0, last = 0;  // 0: the whole document
};
// A colon may also be part of a path that the collection knows. Throws Error(kInvalidArgument).
Reference parse_reference(const Collection& collection, const std::string& text);

// [begin, end) of the lines or pages that the reference names, or of the whole document; empty when the
// document has no such place.
ByteRange find_range(const Collection& collection, const DocumentInfo& document, const std::string& text,
                     const Reference& reference);

}  // namespace lectern
