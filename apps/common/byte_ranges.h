// Ranges of bytes of a text: which words a query found, and where a piece may be cut. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lectern {

using ByteRange = std::pair<uint64_t, uint64_t>;
using ByteRanges = std::vector<ByteRange>;

// The words of `text` that the query names, as ranges of bytes: ascending, disjoint.
ByteRanges highlights(const std::string& query, const std::string& text,
                      const std::vector<std::string>& languages);

// [begin, end) moved out to the borders of characters, within the text.
ByteRange whole_characters(const std::string& text, uint64_t begin, uint64_t end);

}  // namespace lectern
