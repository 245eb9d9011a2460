// Text from elsewhere, made safe to show. A pure function.
#pragma once

#include <string>
#include <string_view>

namespace lectern {

// Text from a document or a file name: control characters (escape sequences) become visible ones;
// `keep_newlines` is for passages, without it the result is one line.
std::string printable(std::string_view text, bool keep_newlines = false);

}  // namespace lectern
