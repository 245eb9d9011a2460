#include "agent/support.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "agent/currencies.h"
#include "agent/orders.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr double kStrongWeight = 2.0;     // names and numbers
constexpr double kQuestionWeight = 0.35;  // a word the question had already says little about the answer

bool mostly_unspaced(std::string_view text) {
  size_t unspaced = 0, words = 0;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    if (is_unspaced_script(d.code_point)) {
      ++unspaced;
      in_word = false;
    } else {
      const bool word = is_word_character(d.code_point);
      if (word && !in_word) ++words;
      in_word = word;
    }
    i += d.length;
  }
  return unspaced > 2 * words;
}

bool holds(const std::vector<int>& sorted, int id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

double shared(const std::vector<int>& of, const std::vector<int>& in) {
  if (of.empty()) return 0;
  const auto n = std::count_if(of.begin(), of.end(), [&](int id) { return holds(in, id); });
  return static_cast<double>(n) / static_cast<double>(of.size());
}

// 0: it is no number.
size_t n_digits(std::string_view term) {
  return static_cast<size_t>(
      std::count_if(term.begin(), term.end(), [](char c) { return c >= '0' && c <= '9'; }));
}

// At most one letter more, less or other.
bool nearly_equal(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > 1) return false;
  const auto [at_a, at_b] = std::mismatch(a.begin(), a.end(), b.begin());
  const auto rest_a = static_cast<size_t>(at_a - a.begin()), rest_b = static_cast<size_t>(at_b - b.begin());
  if (a.size() == b.size()) return rest_a == a.size() || a.substr(rest_a + 1) == b.substr(rest_b + 1);
  return a.substr(rest_a) == b.substr(rest_b + 1);
}

void sort_unique(std::vector<int>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

SupportIndex::SupportIndex(const std::vector<EvidencePassage>& evidence, std::string_view question,
                           const std::vector<std::string>& keywords, bool capitals_are_names)
    : capitals_are_names_(capitals_are_names) {
  for (size_t p = 0; p < evidence.size(); ++p) {
    first_sentence_.push_back(sentences_.size());
    for (size_t c = 0; c < evidence[p].chunks.size(); ++c) {
      const SourcePassage& chunk = evidence[p].chunks[c];
      const std::vector<TextRange> orders = find_orders(chunk.text);
      // "He was born in 1856" speaks of the one the document is about.
      const std::string_view title = unless_orders(chunk.title);
      for (const TextRange range : split_sentences(chunk.text)) {
        if (std::find(orders.begin(), orders.end(), range) != orders.end()) continue;
        add_sentence(static_cast<int>(p), static_cast<int>(c), chunk.text, range, title);
      }
    }
  }
  first_sentence_.push_back(sentences_.size());

  for (const SupportTerm& term : support_terms(question)) question_terms_.push_back(term.text);
  std::sort(question_terms_.begin(), question_terms_.end());
  const std::vector<int> asked = known_terms(question);
  std::vector<int> foreign;
  for (const std::string& keyword : keywords) {
    for (const int id : known_terms(keyword)) foreign.push_back(id);
  }
  sort_unique(foreign);
  for (Sentence& sentence : sentences_) {
    sentence.keyword_share = shared(foreign, sentence.terms);
    sentence.where.asked = std::max(shared(asked, sentence.terms), sentence.keyword_share);
  }
}

void SupportIndex::add_sentence(int passage, int chunk, std::string_view text, TextRange range,
                                std::string_view title) {
  Sentence sentence;
  sentence.where = {passage, chunk, range, 0, 0};
  sentence.unspaced = mostly_unspaced(range.of(text));
  const auto add_terms = [&](std::vector<SupportTerm> terms) {
    for (SupportTerm& term : terms) {
      const auto [entry, added] = ids_.emplace(std::move(term.text), static_cast<int>(ids_.size()));
      if (added) n_sentences_with_.push_back(0);
      sentence.terms.push_back(entry->second);
      if (const size_t digits = n_digits(entry->first)) sentence.numbers.push_back({entry->second, digits});
    }
  };
  std::vector<SupportTerm> terms = support_terms(range.of(text));
  if (terms.empty()) return;
  sentence.currencies = currencies(range.of(text), terms);
  sentence.measures = measures(range.of(text));
  add_terms(std::move(terms));
  add_terms(support_terms(title));
  sort_unique(sentence.terms);
  for (const int id : sentence.terms) ++n_sentences_with_[static_cast<size_t>(id)];
  sentences_.push_back(std::move(sentence));
}

std::vector<int> SupportIndex::known_terms(std::string_view text) const {
  std::vector<int> ids;
  for (const SupportTerm& term : support_terms(text)) {
    const auto found = ids_.find(term.text);
    if (found != ids_.end()) ids.push_back(found->second);
  }
  sort_unique(ids);
  return ids;
}

// Misspelt names ("Bedigo") and numbers in words ("3", "three") are known.
bool SupportIndex::known(const std::string& term) const {
  constexpr size_t kNameLetters = 5;  // a shorter name with one letter other is another name
  if (ids_.contains(term)) return true;
  if (n_digits(term) > 0) {
    const std::string_view word = number_word(term);
    return !word.empty() && ids_.contains(std::string(word));
  }
  return term.size() >= kNameLetters && std::any_of(ids_.begin(), ids_.end(), [&](const auto& entry) {
           return nearly_equal(entry.first, term);
         });
}

SupportIndex::Claim SupportIndex::analyse(std::string_view text) const {
  Claim claim;
  const std::vector<SupportTerm> terms = support_terms(text);
  claim.currencies = currencies(text, terms);
  claim.measures = measures(text);
  claim.unspaced = mostly_unspaced(text);
  std::vector<std::string> seen;
  const double n = static_cast<double>(sentences_.size()) + 1;
  for (const SupportTerm& term : terms) {
    if (std::find(seen.begin(), seen.end(), term.text) != seen.end()) continue;
    seen.push_back(term.text);
    const auto found = ids_.find(term.text);
    const bool asked = std::binary_search(question_terms_.begin(), question_terms_.end(), term.text);
    ClaimTerm entry{found == ids_.end() ? -1 : found->second, 1.0, term.strong, asked, n_digits(term.text)};
    // Rare in the evidence, heavy: between 1 for a term of one sentence and about 0.15 for one of all.
    if (entry.id >= 0) {
      entry.weight = std::log(1 + n / n_sentences_with_[static_cast<size_t>(entry.id)]) / std::log(1 + n);
    }
    if (term.strong) entry.weight *= kStrongWeight;
    if (asked) entry.weight *= kQuestionWeight;
    // Chinese often writes a number in another way than the passage does: 10 or 十.
    const bool telling = entry.digits > 0 ? !claim.unspaced : term.strong && asked && capitals_are_names_;
    if (entry.id < 0 && telling && !known(term.text)) claim.speaks_of_the_unknown = true;
    claim.weight += entry.weight;
    claim.terms.push_back(entry);
  }
  for (size_t i = 0; i < sentences_.size() && !claim.held_in_its_script; ++i)
    claim.held_in_its_script =
        sentences_[i].unspaced == claim.unspaced && claim.weight > 0 && score(claim, i) >= kAttach;
  return claim;
}

bool SupportIndex::shares_only_numbers(const Claim& claim, const Sentence& sentence) {
  constexpr int kFewWords = 1;                   // "It was 1802" has no other words to share
  if (sentence.keyword_share > 0) return false;  // in another language it shares what was translated
  int n_words = 0, n_shared = 0;
  for (const ClaimTerm& term : claim.terms) {
    if (term.digits > 0) continue;
    ++n_words;
    n_shared += term.id >= 0 && holds(sentence.terms, term.id);
  }
  return n_words > kFewWords && n_shared == 0;
}

// One in the place of a number of the claim (numbers of as many digits are likely of one kind: years, prices,
// serial numbers), or none of those that the claim adds to the question.
bool SupportIndex::has_other_numbers(const Claim& claim, size_t i) const {
  const Sentence& sentence = sentences_[i];
  // "In 2010 there was a drought. It hit 1,160 square miles, in 2005 only 734."
  const Sentence* before = i > 0 && sentences_[i - 1].where.passage == sentence.where.passage &&
                                   sentences_[i - 1].where.chunk == sentence.where.chunk
                               ? &sentences_[i - 1]
                               : nullptr;
  // Another language, and Chinese itself, often writes a small number in another way.
  const bool otherwise = claim.unspaced || sentence.unspaced || sentence.keyword_share > 0;
  const size_t min_digits = otherwise ? 3 : 2;
  const auto in_claim = [&](int id) {
    return std::any_of(claim.terms.begin(), claim.terms.end(),
                       [&](const ClaimTerm& term) { return term.id == id; });
  };
  int n_new = 0, n_new_held = 0;
  for (const ClaimTerm& number : claim.terms) {
    if (number.digits < min_digits) continue;
    const bool held = number.id >= 0 && holds(sentence.terms, number.id);
    n_new += !number.asked;
    n_new_held += !number.asked && held;
    if (number.asked && number.id >= 0 && before != nullptr && holds(before->terms, number.id)) continue;
    const bool replaced =
        !held && std::any_of(sentence.numbers.begin(), sentence.numbers.end(), [&](const Number& other) {
          return other.digits == number.digits && !in_claim(other.id);
        });
    if (replaced) return true;
  }
  return n_new > 0 && n_new_held == 0;
}

double SupportIndex::score(const Claim& claim, size_t i) const {
  const Sentence& sentence = sentences_[i];
  const bool other_money =
      claim.currencies != 0 && sentence.currencies != 0 && (claim.currencies & sentence.currencies) == 0;
  if (other_money || in_other_measure(claim.measures, sentence.measures) || has_other_numbers(claim, i))
    return 0;
  double held = 0, held_strong = 0;
  for (const ClaimTerm& term : claim.terms) {
    if (term.id < 0 || !holds(sentence.terms, term.id)) continue;
    held += term.weight;
    if (term.strong) held_strong += term.weight;
  }
  const double overlap = held / claim.weight;
  if (claim.unspaced == sentence.unspaced)
    return claim.speaks_of_the_unknown || shares_only_numbers(claim, sentence) ? 0 : overlap;
  // Written in another script: only names, numbers and translated keywords can meet. Keywords alone ("born")
  // fit any sentence about another one as well, and say nothing where the claim's own words are found.
  if (held_strong == 0 && claim.held_in_its_script) return 0;
  const double names = held_strong > 0 ? 0.4 + 0.2 * held_strong / claim.weight : 0;
  return std::max(overlap, std::min(1.0, names + 0.6 * sentence.keyword_share));
}

std::optional<SupportMatch> SupportIndex::best_of(size_t first, size_t last, const Claim& claim) const {
  if (claim.weight <= 0) return std::nullopt;
  std::optional<SupportMatch> best;
  double best_value = 0;
  for (size_t i = first; i < last; ++i) {
    const double share = score(claim, i);
    if (share <= 0) continue;
    const double value = share + 0.2 * sentences_[i].where.asked;  // of equals, the one about the question
    if (best && value <= best_value) continue;
    best = sentences_[i].where;
    best->score = share;
    best_value = value;
  }
  return best;
}

std::optional<SupportMatch> SupportIndex::best_in(int passage, std::string_view claim) const {
  if (passage < 0 || passage + 1 >= static_cast<int>(first_sentence_.size())) return std::nullopt;
  const auto p = static_cast<size_t>(passage);
  return best_of(first_sentence_[p], first_sentence_[p + 1], analyse(claim));
}

std::optional<SupportMatch> SupportIndex::best(std::string_view claim) const {
  return best_of(0, sentences_.size(), analyse(claim));
}

}  // namespace lectern
