// What a model of a given size is given. The numbers are a judgement, not yet a measurement: small models
// lose the thread in many passages (docs/agent.md).
#pragma once

#include "agent/language_model.h"

namespace lectern {

// Of a logistic sum over EvidenceSigns (sufficiency.h), and what follows from the probability. All 0: the
// model is not judged.
struct SufficiencyWeights {
  double bias = 0, match = 0, words = 0, names = 0, yes = 0;
  double refuse_below = 0;   // less likely: nothing is answered
  double support_below = 0;  // less likely: the first sentence must be supported, or nothing is answered
};

struct ModelProfile {
  double below_billions;  // parameters; the first row that fits is used
  int chunks;             // at most, however large the budget
  int fit_tokens;         // level 0 below this
  SufficiencyWeights sufficiency;
};

const ModelProfile& profile_of(const LanguageModel& model);

}  // namespace lectern
