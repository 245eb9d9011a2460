// A byte for the language, then any bytes: terms are short, well-formed, and stand where they say.
#include <cstdlib>

#include "base/utf8.h"
#include "retrieval/analyzer.h"
#include "retrieval/analyzer_language.h"

namespace {

using namespace lectern;

void check_terms(const std::vector<Term>& terms, std::string_view text) {
  uint32_t begin = 0;
  for (const Term& term : terms) {
    const bool placed = term.begin >= begin && term.begin < term.end && term.end <= text.size();
    const bool well_formed =
        !term.text.empty() && term.text.size() <= kMaxTermBytes && utf8::is_valid(term.text);
    if (!placed || !well_formed) std::abort();
    begin = term.begin;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Analyzer analyzer;
  static const std::vector<std::string> kLanguages = {"",   "en", "tr", "fr", "el",
                                                      "ru", "ar", "hi", "zh", "th"};
  if (size == 0) return 0;
  const std::string& language = kLanguages[data[0] % kLanguages.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::vector<Term> terms, query;
  analyzer.analyze_document(text, terms, language);
  check_terms(terms, text);
  analyzer.analyze_query(text, query);
  check_terms(query, text);
  if (query.empty() != terms.empty()) std::abort();  // a text of function words alone keeps them
  analyzer.analyze_query(text, query, kLanguages);
  check_terms(query, text);
  return 0;
}
