// What a model of a given size is given: chosen by measurement (docs/agent.md, "How much to read").
#pragma once

#include "agent/language_model.h"

namespace lectern {

struct ModelProfile {
  double below_billions;  // parameters; the first row that fits is used
  int chunks;             // at most, however large the budget
  int fit_tokens;         // level 0 below this
};

const ModelProfile& profile_of(const LanguageModel& model);

}  // namespace lectern
