// Chunks judged against the question (chunk_judge.h), with the scores that the collection keeps: one that is
// kept there costs nothing, and a new one is kept. Not thread-safe; keeps references to its arguments.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/asking.h"
#include "agent/chunk_judge.h"

namespace lectern {

// The gain, in nats per token, of a chunk that surely answers (docs/evaluation.md, "Reading chunks").
inline constexpr double kPasses = 1.5;

// How surely a chunk answers, 0 to 1: linear up to where it passes.
double likely_to_answer(double gain);

class KeptJudge {
 public:
  KeptJudge(Asking& asking, LanguageModel& model, const QueryPlan& plan);

  // For each chunk, by how many nats per token it makes the question likelier than a passage that says
  // nothing does. Throws what LanguageModel::score throws.
  std::vector<double> gains(std::span<const SourcePassage> chunks);

  const std::string& question() const { return question_; }  // without instructions
  int n_scored() const { return n_scored_; }                 // by the model
  int n_kept() const { return n_kept_; }                     // whose score was kept

 private:
  Asking& asking_;
  std::string question_;
  ChunkJudge judge_;
  std::optional<double> blank_;
  int n_scored_ = 0, n_kept_ = 0;
};

}  // namespace lectern
