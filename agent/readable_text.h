// Text as a small model reads it best: without what typesetting and PDF extraction leave between the
// characters of a word. A blank inside "最 常见" makes other tokens of it than the model knows the word by.
#pragma once

#include <string>
#include <string_view>

namespace lectern {

// Without invisible characters (byte order marks, zero-width blanks, soft hyphens), and in lines of running
// Chinese or Japanese without blanks between its characters. Lines without a punctuation mark of these
// scripts keep theirs: in tables, lists and headings blanks part what belongs apart. Any bytes; linear;
// thread-safe.
std::string readable(std::string_view text);

}  // namespace lectern
