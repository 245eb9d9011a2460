// Which sentence of the evidence supports a claim: term overlap, where names and numbers weigh double and
// words of the question little. A claim about somebody or some number that the whole evidence does not know
// is supported by nothing: that is how small models answer questions to which the documents hold no answer. A
// sentence that shares only numbers with a claim does not support it, nor one that has another number in the
// place of one of the claim's (another year, another serial number) or none of those that the claim adds to
// the question, or names other currencies or measures (measures.h).
// Sentences that give orders (orders.h) support nothing. Nothing here asks a model. Const after construction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/evidence.h"
#include "agent/measures.h"
#include "agent/text_terms.h"

namespace lectern {

struct SupportMatch {
  int passage = 0;     // index into the evidence
  int chunk = 0;       // index into the passage's chunks
  TextRange sentence;  // bytes of the chunk's text
  double score = 0;    // share of the claim that the sentence holds, 0 to 1
  double asked = 0;    // share of the question's words that it holds, 0 to 1; keywords count as words
};

class SupportIndex {
 public:
  // `keywords`: the question's words in other languages, which let a claim find a sentence written in one.
  // `capitals_are_names`: false for a language that writes every noun with a capital (German).
  SupportIndex(const std::vector<EvidencePassage>& evidence, std::string_view question,
               const std::vector<std::string>& keywords, bool capitals_are_names = true);

  // The best sentence of one passage, and of all; none when the claim has no terms or nothing is shared.
  std::optional<SupportMatch> best_in(int passage, std::string_view claim) const;
  std::optional<SupportMatch> best(std::string_view claim) const;

  // Enough for a citation to be attached to a claim that has none.
  static constexpr double kAttach = 0.5;
  // Enough for the model's own marker to stay.
  static constexpr double kKeep = 0.3;

 private:
  struct Number {
    int id;  // of its term
    size_t digits;
  };
  struct Sentence {
    SupportMatch where;
    std::vector<int> terms;  // ascending, unique
    std::vector<Number> numbers;
    unsigned currencies = 0;
    std::vector<Measure> measures;
    bool unspaced = false;  // mostly Han, Kana or Thai
    double keyword_share = 0;
  };
  struct ClaimTerm {
    int id;  // -1: nowhere in the evidence
    double weight;
    bool strong;
    bool asked;     // the question has it
    size_t digits;  // 0: it is no number
  };
  struct Claim {
    std::vector<ClaimTerm> terms;
    double weight = 0;
    unsigned currencies = 0;
    std::vector<Measure> measures;
    bool unspaced = false;
    bool speaks_of_the_unknown = false;  // a name of the question, or a number, that the evidence lacks
    bool held_in_its_script = false;     // by some sentence, enough for a citation
  };

  Claim analyse(std::string_view claim) const;
  double score(const Claim& claim, size_t sentence) const;  // by index
  static bool shares_only_numbers(const Claim& claim, const Sentence& sentence);
  bool has_other_numbers(const Claim& claim, size_t sentence) const;
  std::optional<SupportMatch> best_of(size_t first, size_t last, const Claim& claim) const;
  std::vector<int> known_terms(std::string_view text) const;
  bool known(const std::string& term) const;
  void add_sentence(int passage, int chunk, std::string_view text, TextRange range, std::string_view title);

  std::unordered_map<std::string, int> ids_;
  std::vector<int> n_sentences_with_;  // by term id
  std::vector<Sentence> sentences_;
  std::vector<size_t> first_sentence_;  // by passage, one more than there are
  std::vector<std::string> question_terms_;
  bool capitals_are_names_;
};

}  // namespace lectern
