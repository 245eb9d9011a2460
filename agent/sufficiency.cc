#include "agent/sufficiency.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "agent/answer_prompt.h"
#include "agent/languages.h"
#include "agent/model_profile.h"

namespace lectern {
namespace {

// A question of fewer terms ("What is this about?") says too little to be missed.
constexpr size_t kMinTerms = 2;
// In fewer chunks every word is rare or common by chance.
constexpr int64_t kMinChunks = 16;

// A logistic curve over the best chunk's share of the BM25 score that a chunk with all the question's words
// would get. `even`: where questions with and without an answer are equally likely. Pairs of characters meet
// less often than words. Fitted on XQuAD (docs/evaluation.md).
struct MatchCurve {
  double even, slope;
};
constexpr MatchCurve kWords = {0.17, 40};
constexpr MatchCurve kPairs = {0.10, 60};
// Beyond these the search alone decides; between them the model is asked.
constexpr double kSurelyNot = 0.1, kSurely = 0.9;

double best_match(const FilledContext& context) {
  double best = 0;
  for (const EvidencePassage& passage : context.passages) {
    for (const SourcePassage& chunk : passage.chunks) best = std::max(best, chunk.score);
  }
  return best;
}

// Whether no document is in another language than the question, where its words would find nothing.
bool in_documents_language(Asking& asking, const std::string& question) {
  std::string own = asking.documents.guess_language(question);
  if (own.empty()) own = language_of_script(question);
  const std::vector<std::string> languages = asking.documents.languages();
  return languages.empty() || (languages.size() == 1 && (own.empty() || own == languages.front()));
}

// Log-odds of yes against no; 0 when the model cannot say. The answer's own request is scored beside it, only
// so that what both begin with is read once and kept.
double ask_model(Asking& asking, const QueryPlan& plan, const FilledContext& context) {
  const auto [yes_word, no_word] = yes_and_no(plan.question);
  const std::string passages = render_passages(context.shown());
  const std::array requests = {sufficiency_request(passages, plan), answer_request(passages, plan)};
  try {
    const double yes = asking.model.score(requests, yes_word, asking.cancel).at(0);
    const double no = asking.model.score(std::span(requests).first(1), no_word, asking.cancel).at(0);
    return yes - no;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return 0;
  }
}

double logistic(double log_odds) {
  return 1 / (1 + std::exp(-log_odds));
}

}  // namespace

std::optional<double> sufficiency(Asking& asking, const QueryPlan& plan, const FilledContext& context) {
  const double match = best_match(context);
  const std::string& question = plan.question;
  if (match <= 0 || asking.documents.n_chunks() < kMinChunks || support_terms(question).size() < kMinTerms ||
      !in_documents_language(asking, question))
    return std::nullopt;
  const Stopwatch watch;
  const std::string_view script = language_of_script(question);
  const MatchCurve& curve = script == "zh" || script == "ja" || script == "ko" ? kPairs : kWords;
  const double by_search = curve.slope * (match - curve.even);
  Json data = {{"match", match}, {"by_search", logistic(by_search)}};
  double log_odds = by_search;
  const double weight = profile_of(asking.model).judge.yes;
  if (weight > 0 && logistic(by_search) > kSurelyNot && logistic(by_search) < kSurely) {
    const double yes = ask_model(asking, plan, context);
    log_odds += weight * yes;
    data["yes"] = yes;
  }
  TraceStep step;
  step.kind = "sufficiency";
  step.detail =
      "the passages hold the answer: " + std::to_string(std::lround(100 * logistic(log_odds))) + " % likely";
  data["probability"] = logistic(log_odds);
  step.data = std::move(data);
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  return logistic(log_odds);
}

}  // namespace lectern
