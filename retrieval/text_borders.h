// Where a text may be cut: graphemes, words and sentences by Unicode's rules (ICU), looked up in small
// windows so that the cost does not depend on how long a line or sentence is. Thread-safe; iterators are kept
// one a thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace lectern {

// True when a grapheme surely ends at `offset`, judged by the two code points around it alone; false where
// it would take more context to know (emoji sequences, flags, Hangul jamo).
bool is_plain_border(std::string_view text, size_t offset);

// The length of the white space character at `offset`, 0 for anything else. A space that carries a combining
// mark or follows a prepended mark is not white space: it is part of a grapheme.
size_t blank_length(std::string_view text, size_t offset);

// The first offset from `offset` on that is not blank; text.size() when there is none.
size_t skip_blank(std::string_view text, size_t offset);

// Whether the sentence before the line border at `line_begin` goes on in that line, whose first non-blank
// byte is at `first`: the text was only wrapped there.
bool sentence_runs_on(std::string_view text, size_t line_begin, size_t first);

// The last sentence border in [floor, end], 0 when there is none. Borders where a line ends are not told:
// whoever asks knows the lines better.
size_t last_sentence_border(std::string_view text, size_t floor, size_t end);

// The last place in [floor, end] where a line may be broken between words, 0 when there is none.
size_t last_word_border(std::string_view text, size_t floor, size_t end);

// The last grapheme border in (begin, end], where `begin` is one itself; 0 when the grapheme at `begin` is
// longer.
size_t last_grapheme_border(std::string_view text, size_t begin, size_t end);

}  // namespace lectern
