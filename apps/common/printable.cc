#include "apps/common/printable.h"

#include "base/utf8.h"

namespace lectern {

std::string printable(std::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    const char32_t c = d.code_point;
    if (keep_newlines && (c == '\n' || c == '\t')) {
      out.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r' && keep_newlines) {
      // Dropped: it would send the cursor back over the line.
    } else if (c < 0x20) {
      utf8::append(out, 0x2400 + c);  // the control pictures block: U+241B for escape
    } else if (c == 0x7f) {
      utf8::append(out, 0x2421);
    } else if ((c >= 0x80 && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) {
      utf8::append(out, utf8::kReplacement);  // C1 controls; bidirectional overrides, which disguise names
    } else {
      utf8::append(out, c);
    }
    i += d.length;
  }
  return out;
}

}  // namespace lectern
