// What every extractor promises of its Document (retrieval/document.h); a broken promise ends the fuzz
// target.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/extract.h"

namespace lectern {

inline void require(bool promise) {
  if (!promise) std::abort();
}

inline void check_document(const Document& document) {
  const std::string& text = document.text;
  require(utf8::is_valid(text) && utf8::is_valid(document.title));
  uint64_t offset = 0;
  for (const Heading& heading : document.headings) {
    require(heading.offset >= offset && heading.offset <= text.size() && heading.level >= 1);
    require(utf8::is_valid(heading.text));
    offset = heading.offset;
  }
  offset = 0;
  for (const Document::Range& range : document.keep_whole) {
    require(range.begin >= offset && range.begin < range.end && range.end <= text.size());
    offset = range.end;
  }
  for (const auto* names : {&document.aliases, &document.tags, &document.links, &document.warnings})
    for (const std::string& name : *names) require(utf8::is_valid(name));
}

// The document made of any bytes; an empty one where they are refused.
inline Document extract_input(std::string_view bytes, const std::string& format) {
  Document document;
  try {
    document = extract_text(bytes, format, "input", {});
  } catch (const Error&) {
    return document;
  }
  check_document(document);
  return document;
}

}  // namespace lectern
