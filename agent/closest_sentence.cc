#include "agent/closest_sentence.h"

#include <algorithm>
#include <set>

#include "agent/chunk_judge.h"
#include "agent/text_terms.h"

namespace lectern {
namespace {

constexpr size_t kMaxCompared = 16;  // sentences scored by the model: those with most of the question's words
// In nats per token of the question: what a sentence with all of the question's words is worth above one with
// none (docs/evaluation.md, "Two replies at level auto").
constexpr double kWordsWeight = 1.0;

struct Candidate {
  SourcePassage sentence;   // its chunk, with the sentence as text
  double words_shared = 0;  // share of the question's words, 0 to 1
};

std::set<std::string> words_of(const QueryPlan& plan) {
  std::set<std::string> words;
  for (const SupportTerm& term : support_terms(plan.question)) words.insert(term.text);
  for (const std::string& keyword : plan.all_keywords())
    for (const SupportTerm& term : support_terms(keyword)) words.insert(term.text);
  return words;
}

// Those with most words first.
std::vector<Candidate> candidates_of(const FilledContext& context, const std::set<std::string>& words) {
  std::vector<Candidate> out;
  for (const EvidencePassage& passage : context.shown()) {
    for (const TextRange& range : split_sentences(passage.text)) {
      std::set<std::string> shared;
      for (const SupportTerm& term : support_terms(range.of(passage.text)))
        if (words.contains(term.text)) shared.insert(term.text);
      Candidate candidate{passage.chunks.front(), 0};
      candidate.sentence.text = std::string(range.of(passage.text));
      if (!words.empty())
        candidate.words_shared = static_cast<double>(shared.size()) / static_cast<double>(words.size());
      out.push_back(std::move(candidate));
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Candidate& a, const Candidate& b) { return a.words_shared > b.words_shared; });
  return out;
}

}  // namespace

std::string closest_sentence(Asking& asking, const QueryPlan& plan, const FilledContext& context) {
  const Stopwatch watch;
  std::vector<Candidate> candidates = candidates_of(context, words_of(plan));
  const size_t n_sentences = candidates.size();
  if (candidates.empty()) return {};
  if (n_sentences == 1) return candidates.front().sentence.text;
  if (candidates.size() > kMaxCompared) candidates.resize(kMaxCompared);
  std::vector<SourcePassage> sentences;
  for (Candidate& candidate : candidates) sentences.push_back(std::move(candidate.sentence));
  std::vector<double> scores;
  try {
    scores = ChunkJudge(asking.helper, plan.question).scores(sentences, asking.cancel);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return {};
  }
  for (size_t i = 0; i < scores.size(); ++i) scores[i] += kWordsWeight * candidates[i].words_shared;
  const auto best = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  TraceStep step;
  step.kind = "closest_sentence";
  step.detail = "of " + std::to_string(n_sentences) + ", " + std::to_string(candidates.size()) +
                " compared: " + sentences[best].text;
  step.data = {{"sentence", sentences[best].text}, {"score", scores[best]}};
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  return sentences[best].text;
}

}  // namespace lectern
