#include "agent/sufficiency.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "agent/answer_prompt.h"
#include "agent/asked_fact.h"
#include "agent/kept_judge.h"
#include "agent/languages.h"
#include "agent/model_profile.h"

namespace lectern {
namespace {

// A question of fewer terms ("What is this about?") says too little to be missed.
constexpr size_t kMinTerms = 2;
// In fewer chunks every word is rare or common by chance.
constexpr int64_t kMinChunks = 16;

// Nats per token that a question may lack which asks in other words than those of a short text, of which the
// search brings nothing nearer (docs/evaluation.md).
constexpr double kOtherWords = 0.3;

// A logistic curve over the best chunk's share of the BM25 score that a chunk with all the question's words
// would get. `even`: where questions with and without an answer are equally likely. Pairs of characters meet
// less often than words. Fitted on XQuAD (docs/evaluation.md).
struct MatchCurve {
  double even, slope;
};
constexpr MatchCurve kWords = {0.17, 40};
constexpr MatchCurve kPairs = {0.10, 60};
// Beyond these it is decided; between them the model is asked.
constexpr double kSurelyNot = 0.1, kSurely = 0.9;

double best_match(const FilledContext& context) {
  double best = 0;
  for (const EvidencePassage& passage : context.passages) {
    for (const SourcePassage& chunk : passage.chunks) best = std::max(best, chunk.score);
  }
  return best;
}

// Whether no document is in another language than the question.
bool in_documents_language(Asking& asking, const std::string& question) {
  const std::string own = asking.language_of(question);
  const std::vector<std::string> languages = asking.documents.languages();
  return languages.empty() || (languages.size() == 1 && (own.empty() || own == languages.front()));
}

// The chunks that the model is shown of which the question's words tell nothing: those in another language,
// or all where the words tell nothing of any.
std::vector<SourcePassage> beyond_words(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                                        bool in_one_language, bool all) {
  std::vector<SourcePassage> out;
  if (!all && in_one_language) return out;
  const std::string own = asking.language_of(plan.question);
  for (const EvidencePassage& passage : context.shown()) {
    for (const SourcePassage& chunk : passage.chunks) {
      const std::string language = asking.language_of(chunk.text);
      const bool other = own.empty() ? !language_of_script(chunk.text).empty() : language != own;
      if (all || other) out.push_back(chunk);
    }
  }
  return out;
}

// By how likely one of `chunks` makes the question (kept_judge.h); none when the model cannot score. It
// decides what is refused: not a task for a helper.
std::optional<double> by_reading(Asking& asking, const QueryPlan& plan,
                                 const std::vector<SourcePassage>& chunks, double allowance) {
  try {
    const std::vector<double> gains = KeptJudge(asking, asking.model, plan).gains(chunks);
    return likely_to_answer(*std::max_element(gains.begin(), gains.end()) + allowance);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return std::nullopt;
  }
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

// By what the search found. Where documents are in other languages, keywords in them find what the curve
// knows nothing of: only the question's own words count.
double by_words(Asking& asking, const QueryPlan& plan, const FilledContext& context, bool in_one_language) {
  double match = best_match(context);
  if (!in_one_language) {
    const SourceQuery own[] = {{plan.question, 1.0}};
    const std::vector<SourcePassage> hits = asking.documents.search(own, 1);
    match = hits.empty() ? 0 : hits.front().score;
  }
  const std::string_view script = language_of_script(plan.question);
  const MatchCurve& curve = script == "zh" || script == "ja" || script == "ko" ? kPairs : kWords;
  return logistic(curve.slope * (match - curve.even));
}

}  // namespace

std::optional<double> sufficiency(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                                  Passages passages) {
  const EvidenceJudge& limits = profile_of(asking.model).judge;
  if (limits.refuse_below <= 0 || support_terms(plan.question).size() < kMinTerms) return std::nullopt;
  const bool judgeable = passages == Passages::kFound
                             ? best_match(context) > 0
                             : asks_for_a_fact(plan.question, render_passages(context.shown()));
  if (!judgeable) return std::nullopt;
  const Stopwatch watch;
  const bool in_one_language = in_documents_language(asking, plan.question);
  Json data = Json::object();
  double likely = 0;
  const bool words_tell = passages == Passages::kFound && asking.documents.n_chunks() >= kMinChunks;
  if (words_tell) data["by_search"] = likely = by_words(asking, plan, context, in_one_language);
  if (const auto chunks = beyond_words(asking, plan, context, in_one_language, !words_tell);
      !chunks.empty() && likely < kSurely) {
    const std::optional<double> read =
        by_reading(asking, plan, chunks, passages == Passages::kAll ? kOtherWords : 0);
    if (!read) return std::nullopt;
    data["by_reading"] = *read;
    likely = std::max(likely, *read);
  }
  if (data.empty()) return std::nullopt;  // no chunk fitted
  if (limits.yes > 0 && passages == Passages::kFound && likely > kSurelyNot && likely < kSurely) {
    const double yes = ask_model(asking, plan, context);
    data["yes"] = yes;
    likely = logistic(std::log(likely / (1 - likely)) + limits.yes * yes);
  }
  TraceStep step;
  step.kind = "sufficiency";
  step.detail = "the passages hold the answer: " + std::to_string(std::lround(100 * likely)) + " % likely";
  data["probability"] = likely;
  step.data = std::move(data);
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  // Of all there is to read, only a question that gains nothing by it is refused: one in other words than the
  // text's gains little.
  if (passages == Passages::kAll && likely > 0) likely = std::max(likely, limits.refuse_below);
  return likely;
}

}  // namespace lectern
