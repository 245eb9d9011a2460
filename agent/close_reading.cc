#include "agent/close_reading.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "agent/chunk_judge.h"
#include "agent/text_terms.h"

namespace lectern {
namespace {

constexpr size_t kMaxCompared = 16;  // sentences scored by the model: those with most of the question's words
constexpr size_t kMaxChosen = 2;
// Nats per token that the best sentence must make the question likelier than a passage that says nothing
// does, and than a sentence that is cited does (docs/evaluation.md, "A second chance at level auto").
constexpr double kPasses = 2.0;
constexpr double kPassesCited = 0.2;

struct Sentence {
  size_t passage = 0;
  TextRange range;      // of the passage's text
  size_t n_shared = 0;  // terms of the question
  bool cited = false;
};

std::vector<Sentence> sentences_of(const FilledContext& context, const QueryPlan& plan,
                                   const std::vector<std::string>& cited) {
  std::set<std::string> wanted;
  for (const SupportTerm& term : support_terms(plan.question)) wanted.insert(term.text);
  for (const std::string& keyword : plan.all_keywords())
    for (const SupportTerm& term : support_terms(keyword)) wanted.insert(term.text);
  std::vector<Sentence> out;
  for (size_t i = 0; i < context.passages.size(); ++i) {
    const std::string& text = context.passages[i].text;
    for (const TextRange& range : split_sentences(text)) {
      std::set<std::string> shared;
      for (const SupportTerm& term : support_terms(range.of(text)))
        if (wanted.contains(term.text)) shared.insert(term.text);
      const bool is_cited = std::find(cited.begin(), cited.end(), range.of(text)) != cited.end();
      out.push_back({i, range, shared.size(), is_cited});
    }
  }
  return out;
}

// Indices of the first `n` by `better`, which compares indices.
template <typename Better>
std::vector<size_t> first_by(size_t size, size_t n, const Better& better) {
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), better);
  if (order.size() > n) order.resize(n);
  return order;
}

// Of the cited among those compared; infinity when none is: it was not found among the sentences again.
double best_cited(const std::vector<Sentence>& sentences, const std::vector<size_t>& compared,
                  const std::vector<double>& scores) {
  std::optional<double> best;
  for (size_t i = 0; i < compared.size(); ++i) {
    if (sentences[compared[i]].cited) best = std::max(best.value_or(scores[i]), scores[i]);
  }
  return best.value_or(std::numeric_limits<double>::infinity());
}

// The passages with only the sentences that are kept, "…" where one is left out.
std::vector<EvidencePassage> only_kept(const FilledContext& context, const std::vector<Sentence>& sentences,
                                       const std::vector<bool>& kept) {
  std::vector<std::string> texts(context.passages.size());
  for (size_t i = 0; i < sentences.size(); ++i) {
    if (!kept[i]) continue;
    const Sentence& sentence = sentences[i];
    std::string& text = texts[sentence.passage];
    if (!text.empty()) text += kept[i - 1] ? " " : " … ";
    text += sentence.range.of(context.passages[sentence.passage].text);
  }
  std::vector<EvidencePassage> out;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) continue;
    out.push_back(context.passages[i]);
    out.back().text = std::move(texts[i]);
  }
  return out;
}

}  // namespace

std::optional<FilledContext> read_closely(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                                          const std::vector<std::string>& cited) {
  const Stopwatch watch;
  const std::vector<Sentence> sentences = sentences_of(context, plan, cited);
  const std::vector<size_t> compared = first_by(sentences.size(), kMaxCompared, [&](size_t a, size_t b) {
    if (sentences[a].cited != sentences[b].cited) return sentences[a].cited;
    return sentences[a].n_shared > sentences[b].n_shared;
  });
  if (compared.empty()) return std::nullopt;
  std::vector<SourcePassage> alone;
  for (const size_t i : compared) {
    const EvidencePassage& passage = context.passages[sentences[i].passage];
    alone.push_back(passage.chunks.front());
    alone.back().text = std::string(sentences[i].range.of(passage.text));
  }
  std::vector<double> scores;
  double compared_with = 0;
  try {
    ChunkJudge judge(asking.helper, plan.question);
    scores = judge.scores(alone, asking.cancel);
    compared_with =
        cited.empty() ? judge.blank_score(asking.cancel) : best_cited(sentences, compared, scores);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return std::nullopt;
  }
  const std::vector<size_t> chosen =
      first_by(compared.size(), kMaxChosen, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const double above = scores[chosen.front()] - compared_with;
  const bool passes = above >= (cited.empty() ? kPasses : kPassesCited);
  const std::string& best = alone[chosen.front()].text;
  TraceStep step;
  step.kind = "close_reading";
  step.detail = std::to_string(compared.size()) + " of " + std::to_string(sentences.size()) +
                " sentences compared: " +
                (passes          ? best
                 : cited.empty() ? "none answers the question"
                                 : "none answers the question better than what is cited");
  step.data = {{"above", above}, {"best", best}};
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  if (!passes) return std::nullopt;

  std::vector<bool> kept(sentences.size());
  for (const size_t place : chosen) {
    const size_t i = compared[place];
    kept[i] = true;  // and what stands around it in the same passage
    if (i > 0 && sentences[i - 1].passage == sentences[i].passage) kept[i - 1] = true;
    if (i + 1 < sentences.size() && sentences[i + 1].passage == sentences[i].passage) kept[i + 1] = true;
  }
  FilledContext closer = context;
  closer.passages = only_kept(context, sentences, kept);
  closer.n_unread = 0;
  closer.tokens = asking.model.count_tokens(render_passages(closer.passages));
  return closer;
}

}  // namespace lectern
