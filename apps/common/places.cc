#include "apps/common/places.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "apps/common/printable.h"
#include "base/error.h"

namespace lectern {
namespace {

std::string range(int first, int last) {
  return std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
}

bool parse_number(std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() && out >= 0;
}

// The part after the last colon, when it is a range.
bool parse_range(std::string_view text, Reference& reference) {
  if (text.starts_with('p')) {
    reference.is_page = true;
    text.remove_prefix(1);
  }
  const size_t dash = text.find('-');
  int64_t first = 0, last = 0;
  if (!parse_number(text.substr(0, dash), first)) return false;
  last = first;
  if (dash != std::string_view::npos && !parse_number(text.substr(dash + 1), last)) return false;
  if (first < 1 || last < first || last > std::numeric_limits<int>::max()) return false;
  reference.first = static_cast<int>(first);
  reference.last = static_cast<int>(last);
  return true;
}

ByteRange lines_of(const std::string& text, int first, int last) {
  size_t begin = 0;
  for (int line = 1; line < first; ++line) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return {0, 0};
    ++begin;
  }
  size_t end = begin;
  for (int line = first; line <= last && end < text.size(); ++line) {
    end = text.find('\n', end);
    end = end == std::string::npos ? text.size() : end + 1;
  }
  return {begin, end};
}

// The chunks that stand on the pages, from the first byte of the first to the last of the last.
ByteRange pages_of(const Collection& collection, const DocumentInfo& document, uint64_t text_bytes,
                   const Reference& reference) {
  uint64_t begin = text_bytes, end = 0;
  for (const Passage& passage : collection.passages(document.id, 0, document.n_chunks)) {
    if (passage.chunk.last_page < reference.first || passage.chunk.first_page > reference.last) continue;
    begin = std::min(begin, passage.chunk.begin);
    end = std::max(end, passage.chunk.end);
  }
  return begin < end ? ByteRange{begin, end} : ByteRange{0, 0};
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

Reference parse_reference(const Collection& collection, const std::string& text) {
  Reference reference;
  const size_t colon = text.rfind(':');
  const bool is_path = collection.find_document(text).has_value();
  if (text.starts_with('#') && !is_path && !collection.find_document(text.substr(0, colon))) {
    if (!parse_number(std::string_view(text).substr(1), reference.chunk_id))
      throw Error(ErrorCode::kInvalidArgument, text + ": a passage's number looks like #17");
    return reference;
  }
  if (colon == std::string::npos || is_path) {
    reference.path = text;
  } else if (!parse_range(std::string_view(text).substr(colon + 1), reference)) {
    throw Error(ErrorCode::kInvalidArgument,
                text +
                    ": the end should be a line or a range, such as :3-9, or a page, "
                    "such as :p4");
  } else {
    reference.path = text.substr(0, colon);
  }
  return reference;
}

ByteRange find_range(const Collection& collection, const DocumentInfo& document, const std::string& text,
                     const Reference& reference) {
  if (reference.is_page) return pages_of(collection, document, text.size(), reference);
  if (reference.first > 0) return lines_of(text, reference.first, reference.last);
  return {0, text.size()};
}

}  // namespace lectern
