#include "apps/cli/answer_match.h"

#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "retrieval/analyzer_text.h"

namespace lectern {
namespace {

bool stands_alone(CharClass c) {
  return c == CharClass::kHanKana || c == CharClass::kHangul || c == CharClass::kDictionary;
}

bool is_article(const std::string& word) {
  return word == "a" || word == "an" || word == "the";
}

}  // namespace

std::vector<std::string> answer_tokens(std::string_view text) {
  FoldedText folded;
  folded.assign(text);
  std::vector<std::string> tokens;
  std::string word;
  const auto flush = [&] {
    if (!word.empty() && !is_article(word)) tokens.push_back(word);
    word.clear();
  };
  for (const Character& character : folded.characters()) {
    if (stands_alone(character.char_class)) {
      flush();
      utf8::append(word, character.code_point);
      flush();
    } else if (character.char_class != CharClass::kOther) {
      utf8::append(word, character.code_point);
    } else {
      flush();
    }
  }
  flush();
  return tokens;
}

bool contains_answer(std::string_view text, const std::vector<std::string>& golds) {
  const std::vector<std::string> tokens = answer_tokens(text);
  return std::any_of(golds.begin(), golds.end(), [&](const std::string& gold) {
    const std::vector<std::string> wanted = answer_tokens(gold);
    return !wanted.empty() &&
           std::search(tokens.begin(), tokens.end(), wanted.begin(), wanted.end()) != tokens.end();
  });
}

double answer_f1(std::string_view text, const std::vector<std::string>& golds) {
  const std::vector<std::string> tokens = answer_tokens(text);
  double best = 0;
  for (const std::string& gold : golds) {
    const std::vector<std::string> wanted = answer_tokens(gold);
    std::map<std::string, int> left;
    for (const std::string& token : wanted) ++left[token];
    int shared = 0;
    for (const std::string& token : tokens) shared += left[token]-- > 0 ? 1 : 0;
    if (shared > 0) best = std::max(best, 2.0 * shared / static_cast<double>(tokens.size() + wanted.size()));
  }
  return best;
}

std::string without_markers(std::string_view answer) {
  std::string out;
  for (size_t i = 0; i < answer.size(); ++i) {
    if (answer[i] == '[') {
      size_t end = i + 1;
      while (end < answer.size() && answer[end] >= '0' && answer[end] <= '9') ++end;
      if (end > i + 1 && end < answer.size() && answer[end] == ']') {
        i = end;
        continue;
      }
    }
    out.push_back(answer[i]);
  }
  return out;
}

}  // namespace lectern
