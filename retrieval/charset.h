// Bytes of a text file to clean UTF-8. Strict UTF-8 and UTF-16 are recognised as such; everything else is
// guessed with ICU and repaired. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lectern {

struct DecodedText {
  std::string text;         // well-formed UTF-8 without control characters other than tab, CR and LF
  std::string charset;      // "UTF-8", "UTF-16LE", "GB18030", "windows-1252", ...
  uint64_t n_replaced = 0;  // ill-formed sequences that became U+FFFD
};

// True when the bytes are no text in any charset we read: NUL bytes or many other control characters.
bool looks_binary(std::string_view bytes);

// `declared` is the charset that the document itself names, such as HTML's <meta charset>; it counts only
// where the bytes are not well-formed UTF-8. Well-formed UTF-8 keeps its byte offsets: a control character is
// replaced by a space of the same length. Throws Error(kUnsupported) naming `name` for binary data.
DecodedText decode_text(std::string bytes, const std::string& name, std::string_view declared = {});

// Replaces control characters other than tab, CR and LF in well-formed UTF-8 by spaces of the same length.
void replace_controls(std::string& text);

}  // namespace lectern
