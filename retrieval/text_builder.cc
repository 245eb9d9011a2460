#include "retrieval/text_builder.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr size_t kLabelCharacters = 120;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

// How many bytes at text[i] are a no-break or other fixed space that reads as a plain one.
size_t wide_space(std::string_view text, size_t i) {
  const std::string_view rest = text.substr(i, 3);
  if (rest.starts_with("\xC2\xA0")) return 2;                                          // U+00A0
  if (rest.starts_with("\xE2\x80\xAF") || rest.starts_with("\xE2\x80\x87")) return 3;  // U+202F, U+2007
  return 0;
}

// Soft hyphens and byte-order marks say nothing and keep words from being found.
size_t ignorable(std::string_view text, size_t i) {
  const std::string_view rest = text.substr(i, 3);
  if (rest.starts_with("\xC2\xAD")) return 2;
  if (rest.starts_with("\xEF\xBB\xBF")) return 3;
  return 0;
}

bool is_control(std::string_view text, size_t i) {
  const auto byte = static_cast<uint8_t>(text[i]);
  return byte < 0x20 || byte == 0x7F;
}

size_t c1_control(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]) == 0xC2 && i + 1 < text.size() &&
                 static_cast<uint8_t>(text[i + 1]) < 0xA0
             ? 2
             : 0;
}

}  // namespace

void TextBuilder::append(std::string_view text) {
  if (document_.text.size() + text.size() > max_bytes_)
    throw Error(ErrorCode::kResourceExhausted,
                name_ + ": holds more than " + std::to_string(max_bytes_ >> 20) + " MB of text");
  document_.text.append(text);
}

void TextBuilder::flush_gap() {
  if (!document_.text.empty()) {
    if (gap_ == Gap::kSpace) append(" ");
    if (gap_ == Gap::kLine) append("\n");
    if (gap_ == Gap::kBlock) append("\n\n");
  }
  gap_ = Gap::kNone;
  const uint64_t here = document_.text.size();
  if (page_open_) document_.pages.push_back({here, page_});
  if (heading_open_) heading_begin_ = here;
  if (keep_open_) keep_begin_ = here;
  page_open_ = heading_open_ = keep_open_ = false;
}

void TextBuilder::text(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    size_t length = 0;
    if (is_space(text[i]) || is_control(text, i)) length = 1;
    if (length == 0) length = std::max(wide_space(text, i), c1_control(text, i));
    if (length > 0) {
      // White space at the start of a block or line is dropped: a larger gap stands already.
      if (!document_.text.empty()) raise_gap(Gap::kSpace);
      i += length;
      continue;
    }
    if (const size_t skip = ignorable(text, i)) {
      i += skip;
      continue;
    }
    size_t end = i + 1;
    while (end < text.size() && !is_space(text[end]) && !is_control(text, end) && text[end] != '\xC2' &&
           text[end] != '\xE2' && text[end] != '\xEF')
      ++end;
    flush_gap();
    append(text.substr(i, end - i));
    i = end;
  }
}

void TextBuilder::preformatted(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) {
      flush_gap();
      std::string clean(line);
      for (size_t i = 0; i < clean.size(); ++i) {
        if (is_control(clean, i) && clean[i] != '\t') clean[i] = ' ';
        if (c1_control(clean, i) > 0) clean[i + 1] = '\xA0';
      }
      append(clean);
    }
    if (end == text.size()) break;
    // Blank lines inside are kept, at most one in a row.
    raise_gap(gap_ == Gap::kLine ? Gap::kBlock : Gap::kLine);
    text.remove_prefix(end + 1);
  }
}

void TextBuilder::line_break() {
  raise_gap(Gap::kLine);
}

void TextBuilder::block() {
  raise_gap(Gap::kBlock);
}

void TextBuilder::begin_heading(int level) {
  end_heading();
  block();
  in_heading_ = heading_open_ = true;
  heading_level_ = level;
}

void TextBuilder::end_heading() {
  if (!in_heading_) return;
  in_heading_ = false;
  if (!heading_open_) {
    const std::string label = heading_label(std::string_view(document_.text).substr(heading_begin_));
    document_.headings.push_back({heading_begin_, heading_level_, label});
  }
  heading_open_ = false;
  block();
}

void TextBuilder::page(int number) {
  page_ = number;
  page_open_ = true;
}

void TextBuilder::begin_keep() {
  end_keep();
  in_keep_ = keep_open_ = true;
}

void TextBuilder::end_keep() {
  if (!in_keep_) return;
  in_keep_ = false;
  if (!keep_open_) document_.keep_whole.push_back({keep_begin_, document_.text.size()});
  keep_open_ = false;
}

void TextBuilder::finish() {
  end_heading();
  end_keep();
  gap_ = Gap::kNone;
  page_open_ = false;
  if (!document_.text.empty() && document_.text.back() != '\n') append("\n");
}

std::string heading_label(std::string_view text) {
  std::string label;
  size_t n = 0;
  bool gap = false;
  for (size_t i = 0; i < text.size() && n < kLabelCharacters;) {
    if (is_space(text[i])) {
      gap = !label.empty();
      ++i;
      continue;
    }
    const size_t length = utf8::decode(text, i).length;
    if (gap) label.push_back(' '), ++n;
    gap = false;
    label.append(text, i, length);
    i += length;
    ++n;
  }
  return label;
}

}  // namespace lectern
