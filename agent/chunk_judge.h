// How well a chunk answers a question, from prefill alone: nothing is generated, and many chunks share a
// batch of the engine. Not thread-safe; keeps references to the model.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "agent/document_source.h"
#include "agent/language_model.h"
#include "base/cancel.h"

namespace lectern {

enum class JudgeMethod {
  // Mean log-probability per token of the question as the reply to "write a question that this passage
  // answers" (query likelihood with a language model: Sachan et al. 2022, https://arxiv.org/abs/2204.07496).
  // The question comes last, so that a chunk's prompt is the same for every question.
  kQuestionLikelihood,
  kLabel,  // log p("ans") - log p("none") after the forced opening {"res": "
  kYesNo,  // log p(yes) - log p(no)
};

// Goes up whenever prompts or scores change, and never back: stored scores of another version are not used.
inline constexpr int kJudgeVersion = 3;

class ChunkJudge {
 public:
  ChunkJudge(LanguageModel& model, std::string question,
             JudgeMethod method = JudgeMethod::kQuestionLikelihood);

  // A score for each chunk, higher is better; comparable between chunks of one question and method only.
  // Throws what LanguageModel::score throws.
  std::vector<double> scores(std::span<const SourcePassage> chunks, const CancelToken& cancel);

  // The score of a passage that says nothing: what is hardly above it does not answer the question.
  double blank_score(const CancelToken& cancel);

  // Under which a chunk's score can be kept: another model, question, method, version or text has another.
  std::string key(const SourcePassage& chunk);

 private:
  LmRequest request_for(std::string_view passage) const;
  std::vector<double> scores_of(std::span<const LmRequest> requests, const CancelToken& cancel);

  LanguageModel* model_;
  std::string question_;
  JudgeMethod method_;
};

// Text that cannot close the <passage> it stands in.
std::string fenced_passage(std::string text);

// The judge's score and the search's as one: `bm25_share` is the chunk's BM25 score as a share of the best
// chunk's, 0 for a chunk that the search did not find.
double fused_score(double judged, double bm25_share);

}  // namespace lectern
