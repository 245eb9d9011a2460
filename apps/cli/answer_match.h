// How an answer is compared with a gold answer: both after NFKC and case folding, without punctuation and
// English articles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lectern {

// Words of spaced scripts and single characters of the others (Han, Kana, Hangul, Thai), in order.
std::vector<std::string> answer_tokens(std::string_view text);

// A gold answer's tokens stand in the text as one run: at word boundaries for Latin text, anywhere for
// scripts without them.
bool contains_answer(std::string_view text, const std::vector<std::string>& golds);

// The best harmonic mean of precision and recall over the tokens, as SQuAD computes it.
double answer_f1(std::string_view text, const std::vector<std::string>& golds);

// The answer without its [n] markers.
std::string without_markers(std::string_view answer);

}  // namespace lectern
