// Character references of HTML: the names of HTML 4 (and XML's "apos"), decimal and hexadecimal numbers.
// Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lectern {

// Reads the reference at text[offset] == '&': appends its character to `out` and returns how many bytes it
// takes, or returns 0 when the "&" stands for itself.
size_t decode_entity(std::string_view text, size_t offset, std::string& out);

}  // namespace lectern
