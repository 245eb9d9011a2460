// What a model of a given size is given. The numbers are a judgement, not yet a measurement: small models
// lose the thread in many passages (docs/agent.md).
#pragma once

#include "agent/language_model.h"

namespace lectern {

// How the evidence is judged before an answer (sufficiency.h), and what follows. All 0: it is not.
struct EvidenceJudge {
  double yes = 0;            // weight of the model's own yes/no; 0: it is not asked
  double refuse_below = 0;   // less likely: nothing is answered
  double support_below = 0;  // less likely: the first sentence must be supported, or nothing is answered
};

struct ModelProfile {
  double below_billions;  // parameters; the first row that fits is used
  int chunks;             // at most, however large the budget
  double chunk_share;     // of those, only what is worth this share of the best one (retrieve.h)
  int fit_tokens;         // level 0 below this; also what is read at once of whole documents
  int whole_tokens;       // read of whole documents unless a budget says more: minutes on two cores
  EvidenceJudge judge;
  bool reads_long;     // documents that fit the window are better read at once than in spans (whole_text.h)
  bool answers_twice;  // at level auto, also pointed to the closest sentence (closest_sentence.h)
};

const ModelProfile& profile_of(const LanguageModel& model);

}  // namespace lectern
