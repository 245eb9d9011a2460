#include "agent/salience.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <unordered_map>

#include "agent/text_terms.h"

namespace lectern {
namespace {

// A text of fewer terms counts as if it had so many: a lone heading is made of nothing but frequent words.
constexpr size_t kFewTerms = 20;
// Tables of contents, indexes and rows of numbers are frequent words too, and say nothing.
constexpr double kNoSentence = 0.3;
constexpr size_t kSentenceBytes = 40;

bool holds_a_sentence(std::string_view text) {
  const std::vector<TextRange> sentences = split_sentences(text);
  return std::any_of(sentences.begin(), sentences.end(), [&](const TextRange& range) {
    const std::string_view sentence = range.of(text);
    const bool marked = std::string_view(".!?\")").find(sentence.back()) != std::string_view::npos ||
                        sentence.ends_with("。") || sentence.ends_with("！") || sentence.ends_with("？") ||
                        sentence.ends_with("”");
    return marked && sentence.size() >= kSentenceBytes;
  });
}

struct Terms {
  std::vector<std::vector<int>> of_text;  // ascending, unique
  std::vector<double> probability;        // by term
};

Terms count_terms(const std::vector<std::string_view>& texts) {
  Terms terms;
  std::unordered_map<std::string, int> ids;
  double n = 0;
  for (const std::string_view text : texts) {
    std::vector<int>& own = terms.of_text.emplace_back();
    for (SupportTerm& term : support_terms(text)) {
      const auto [entry, added] = ids.emplace(std::move(term.text), static_cast<int>(ids.size()));
      if (added) terms.probability.push_back(0);
      ++terms.probability[static_cast<size_t>(entry->second)];
      own.push_back(entry->second);
      ++n;
    }
    std::sort(own.begin(), own.end());
    own.erase(std::unique(own.begin(), own.end()), own.end());
  }
  for (double& p : terms.probability) p /= std::max(n, 1.0);
  return terms;
}

}  // namespace

std::vector<size_t> by_salience(const std::vector<std::string_view>& texts,
                                const std::vector<double>& bonus) {
  Terms terms = count_terms(texts);
  std::vector<double> factor;
  for (const std::string_view text : texts) factor.push_back(holds_a_sentence(text) ? 1 : kNoSentence);
  const auto worth = [&](size_t i) {
    double sum = 0;
    for (const int term : terms.of_text[i]) sum += terms.probability[static_cast<size_t>(term)];
    return factor[i] * sum / static_cast<double>(std::max(terms.of_text[i].size(), kFewTerms));
  };
  double best_worth = 0;
  for (size_t i = 0; i < texts.size(); ++i) best_worth = std::max(best_worth, worth(i));
  const auto value = [&](size_t i) { return worth(i) + (bonus.empty() ? 0 : bonus[i] * best_worth); };

  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t picks = std::min(kSalientPicks, texts.size());
  std::vector<double> values(texts.size());
  for (size_t n = 0; n < picks; ++n) {
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(n);
    for (auto i = begin; i != order.end(); ++i) values[*i] = value(*i);
    const auto best = std::max_element(begin, order.end(), [&](size_t a, size_t b) {
      return values[a] != values[b] ? values[a] < values[b] : a > b;
    });
    std::iter_swap(begin, best);
    for (const int term : terms.of_text[order[n]]) {
      double& p = terms.probability[static_cast<size_t>(term)];
      p *= p;
    }
  }
  for (size_t i = picks; i < order.size(); ++i) values[order[i]] = value(order[i]);
  std::sort(order.begin() + static_cast<std::ptrdiff_t>(picks), order.end(),
            [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  return order;
}

}  // namespace lectern
