#include "agent/sufficiency.h"

#include <algorithm>
#include <cmath>

#include "agent/answer_prompt.h"
#include "agent/languages.h"
#include "agent/model_profile.h"

namespace lectern {
namespace {

// A question of fewer terms ("What is this about?") says too little to be missed.
constexpr size_t kMinTerms = 2;

double best_match(const FilledContext& context) {
  double best = 0;
  for (const EvidencePassage& passage : context.passages) {
    for (const SourcePassage& chunk : passage.chunks) best = std::max(best, chunk.score);
  }
  return best;
}

std::vector<std::string> terms_of(const FilledContext& context) {
  std::vector<std::string> held;
  for (const EvidencePassage& passage : context.passages) {
    for (const SourcePassage& chunk : passage.chunks) {
      for (SupportTerm& term : support_terms(chunk.text + "\n" + chunk.title))
        held.push_back(std::move(term.text));
    }
  }
  std::sort(held.begin(), held.end());
  return held;
}

bool in_documents_language(Asking& asking, const std::string& question) {
  std::string own = asking.documents.guess_language(question);
  if (own.empty()) own = language_of_script(question);
  const std::vector<std::string> languages = asking.documents.languages();
  return own.empty() || std::find(languages.begin(), languages.end(), own) != languages.end();
}

// Log-odds of yes; 0 when the model cannot say.
double ask_model(Asking& asking, const QueryPlan& plan, const FilledContext& context) {
  const bool chinese = prompt_language(plan.question) == "zh";
  const LmRequest request = sufficiency_request(render_passages(context.passages), plan.question);
  double log_odds = 0;
  try {
    for (const bool yes : {true, false}) {
      const std::string_view word = chinese ? (yes ? "是" : "否") : (yes ? "Yes" : "No");
      const double score = asking.model.score(std::span(&request, 1), word, asking.cancel).at(0);
      log_odds += yes ? score : -score;
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return 0;
  }
  return log_odds;
}

}  // namespace

std::optional<double> sufficiency(Asking& asking, const QueryPlan& plan, const FilledContext& context) {
  const double match = best_match(context);
  const std::vector<SupportTerm> asked = support_terms(plan.question);
  if (match <= 0 || asked.size() < kMinTerms || !in_documents_language(asking, plan.question))
    return std::nullopt;
  const Stopwatch watch;
  EvidenceSigns signs;
  signs.match = match;
  const std::vector<std::string> held = terms_of(context);
  double n_held = 0, n_names = 0, n_names_held = 0;
  for (const SupportTerm& term : asked) {
    const bool there = std::binary_search(held.begin(), held.end(), term.text);
    n_held += there;
    n_names += term.strong;
    n_names_held += term.strong && there;
  }
  signs.words = n_held / static_cast<double>(asked.size());
  if (n_names > 0) signs.names = n_names_held / n_names;
  signs.yes = ask_model(asking, plan, context);

  const SufficiencyWeights& w = profile_of(asking.model).sufficiency;
  const double z =
      w.bias + w.match * signs.match + w.words * signs.words + w.names * signs.names + w.yes * signs.yes;
  const double probability = 1 / (1 + std::exp(-z));
  TraceStep step;
  step.kind = "sufficiency";
  step.detail = "the passages hold the answer with probability " +
                std::to_string(static_cast<int>(std::lround(100 * probability))) + " %";
  step.data = {{"probability", probability},
               {"match", signs.match},
               {"words", signs.words},
               {"names", signs.names},
               {"yes", signs.yes}};
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  return probability;
}

}  // namespace lectern
