#include "agent/kept_judge.h"

#include <algorithm>
#include <string>
#include <utility>

namespace lectern {

double likely_to_answer(double gain) {
  return std::clamp(gain / kPasses, 0.0, 1.0);
}

KeptJudge::KeptJudge(Asking& asking, LanguageModel& model, const QueryPlan& plan)
    : asking_(asking),
      question_(plan.instruction.empty() ? plan.question : plan.looked_up()),
      judge_(model, question_) {}

std::vector<double> KeptJudge::gains(std::span<const SourcePassage> chunks) {
  if (!blank_) blank_ = judge_.blank_score(asking_.cancel);
  std::vector<std::string> keys;
  for (const SourcePassage& chunk : chunks) keys.push_back(judge_.key(chunk));
  const std::vector<std::optional<double>> kept = asking_.documents.kept_scores(keys);
  std::vector<double> out(chunks.size());
  std::vector<SourcePassage> unknown;
  std::vector<size_t> places;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (kept[i]) {
      out[i] = *kept[i] - *blank_;
      ++n_kept_;
    } else {
      unknown.push_back(chunks[i]);
      places.push_back(i);
    }
  }
  if (unknown.empty()) return out;
  const std::vector<double> scores = judge_.scores(unknown, asking_.cancel);
  std::vector<std::pair<std::string, double>> news;
  for (size_t i = 0; i < places.size(); ++i) {
    out[places[i]] = scores[i] - *blank_;
    news.emplace_back(std::move(keys[places[i]]), scores[i]);
  }
  n_scored_ += static_cast<int>(news.size());
  asking_.documents.keep_scores(news);
  return out;
}

}  // namespace lectern
