// What the reference does to text before it splits it: ill-formed UTF-8 becomes U+FFFD, then NFC (Unicode
// Standard Annex 15) with the character data of Unicode 9, which is what the `tokenizers` package uses.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace lectern {

// The normalised text: `text` itself when it is already normalised, otherwise a view of `storage`. Takes time
// linear in the text, whatever it holds (long runs of combining marks included).
std::string_view normalize(std::string_view text, std::string& storage);

}  // namespace lectern
