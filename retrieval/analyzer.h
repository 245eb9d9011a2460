// Text to index terms, the same for documents and queries: NFKC case folding, diacritics folded, traditional
// to simplified Chinese, then by script: Han and Kana bigrams, Hangul bigrams and words, ICU dictionaries for
// Thai, Lao, Khmer and Burmese, UAX #29 words with Snowball stemming elsewhere, identifiers whole and in
// parts. One Analyzer per thread. Rules and measurements: docs/retrieval.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

struct Term {
  std::string text;
  uint32_t begin = 0, end = 0;  // bytes of the input it came from
};

class Analyzer {
 public:
  Analyzer();
  ~Analyzer();
  Analyzer(Analyzer&&) noexcept;

  // In order of position; any bytes. `language` is that of the document, used where the text alone does not
  // tell. Returns the language the words were stemmed by, "" when none was clear.
  std::string analyze_document(std::string_view text, std::vector<Term>& out, std::string_view language = {});

  // Stop words and bigrams made only of function characters are dropped, unless nothing else is left.
  // `languages` are those of the documents to be searched: a word becomes one term for each way their words
  // were stemmed. Terms of one word have the same byte range; they are alternatives. Empty: the query's own.
  void analyze_query(std::string_view text, std::vector<Term>& out,
                     std::span<const std::string> languages = {});

  // Names this analysis and the Unicode data under it, such as
  // "lectern-1/icu-72.1/unicode-15.0/snowball-2.2"; stored with an index, and a mismatch re-indexes.
  static std::string version();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Language of a text as a two-letter code by script and function words ("en", "zh", "de", "ja", ...), "" when
// unclear.
std::string guess_language(std::string_view text);

}  // namespace lectern
