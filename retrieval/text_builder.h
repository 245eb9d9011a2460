// Writes the text of a Document whose format is not text itself (HTML, DOCX, PDF): blocks apart by a blank
// line, white space collapsed, headings, pages and unbreakable ranges noted as they are written. Every
// extractor of such a format writes through this class, so that the text looks alike whatever it came from.
// Not thread-safe; refers to the document it fills.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "retrieval/document.h"

namespace lectern {

class TextBuilder {
 public:
  // Throws Error(kResourceExhausted) naming `name` once the text is longer than `max_bytes`.
  TextBuilder(Document& document, std::string name, uint64_t max_bytes)
      : document_(document), name_(std::move(name)), max_bytes_(max_bytes) {}

  // Running text, well-formed UTF-8: runs of white space become one space. Control characters become spaces,
  // soft hyphens and byte-order marks vanish.
  void text(std::string_view text);
  // Text whose spaces and line breaks count, such as <pre>.
  void preformatted(std::string_view text);
  void line_break();  // the next text starts a line
  void block();       // the next text starts a paragraph, after a blank line

  void begin_heading(int level);
  void end_heading();
  void page(int number);  // the next text stands on this page
  // What is written between these is one line or block that chunks keep whole where it fits. Not nested.
  void begin_keep();
  void end_keep();

  uint64_t size() const { return document_.text.size(); }
  // Ends the text with one line feed and closes what is open.
  void finish();

 private:
  enum class Gap { kNone, kSpace, kLine, kBlock };
  void flush_gap();
  void raise_gap(Gap gap) {
    if (gap > gap_) gap_ = gap;
  }
  void append(std::string_view text);

  Document& document_;
  std::string name_;
  uint64_t max_bytes_;
  Gap gap_ = Gap::kNone;  // what to write before the next text
  bool in_heading_ = false, in_keep_ = false;
  bool heading_open_ = false, keep_open_ = false, page_open_ = false;  // announced, no text written yet
  int heading_level_ = 1, page_ = 0;
  uint64_t heading_begin_ = 0, keep_begin_ = 0;
};

// A heading's text as shown in a path: on one line, at most 120 code points.
std::string heading_label(std::string_view text);

}  // namespace lectern
