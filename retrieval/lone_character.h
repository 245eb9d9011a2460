// A Han, Kana or Hangul character that stands alone in a query ("猫") is seldom alone in a text: there it is
// part of pairs ("小猫", "猫叫"), and these are what the index holds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "retrieval/bm25.h"

namespace lectern {

// Whether a term of a query is one such character.
bool is_lone_character(std::string_view term);

// The pairs of the index with this character in them, the commonest first, at most `limit`. Reads the whole
// dictionary.
std::vector<std::string> pairs_with(const IndexSnapshot& index, std::string_view character, size_t limit,
                                    BlobReader& blobs);

}  // namespace lectern
