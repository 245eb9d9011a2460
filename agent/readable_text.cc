#include "agent/readable_text.h"

#include <algorithm>

#include "base/utf8.h"

namespace lectern {
namespace {

bool is_invisible(char32_t c) {
  return c == 0xFEFF || c == 0x200B || c == 0x2060 || c == 0xAD;
}

// Han, Kana and the punctuation set as wide as they are.
bool is_wide(char32_t c) {
  return (c >= 0x3001 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFF01 && c <= 0xFF5E) || (c >= 0x20000 && c <= 0x3FFFF);
}

bool ends_clause(char32_t c) {
  return c == U'。' || c == U'，' || c == U'；' || c == U'！' || c == U'？' || c == U'、' || c == U'：';
}

void append_line(std::string_view line, std::string& out) {
  bool running = false;
  for (size_t i = 0; i < line.size() && !running;) {
    const utf8::Decoded d = utf8::decode(line, i);
    running = ends_clause(d.code_point);
    i += d.length;
  }
  bool after_wide = false;
  size_t blanks = 0;  // since a wide character, not yet written
  for (size_t i = 0; i < line.size();) {
    const utf8::Decoded d = utf8::decode(line, i);
    const std::string_view bytes = line.substr(i, d.length);
    i += d.length;
    if (is_invisible(d.code_point)) continue;
    if (running && after_wide && (d.code_point == ' ' || d.code_point == 0xA0)) {
      ++blanks;
      continue;
    }
    const bool wide = is_wide(d.code_point);
    if (!wide) out.append(blanks, ' ');
    blanks = 0;
    out += bytes;
    after_wide = wide;
  }
  out.append(blanks, ' ');
}

}  // namespace

std::string readable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    append_line(text.substr(i, end - i), out);
    if (end < text.size()) out += '\n';
    i = end + 1;
  }
  return out;
}

}  // namespace lectern
