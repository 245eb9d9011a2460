// Level 3: a question is answered by simple ones. The model asks for one fact at a time; each is looked up by
// retrieval; question, answer and evidence join a memory that only grows, and the answer cites the evidence
// of every hop. After "Measuring and Narrowing the Compositionality Gap" (self-ask, Press et al. 2022) and
// the third level of Qwen-Agent's method.
#pragma once

#include <string>
#include <vector>

#include "agent/asking.h"

namespace lectern {

struct Hop {
  std::string question;
  std::string answer;  // "" when the documents do not say
  int builds_on = -1;  // the earlier hop whose answer is in the question
  std::vector<SourcePassage> evidence;
};

// The model breaks the question into at most kMaxHops simple ones; later ones may build on the answers to
// earlier ones. Ends early when the budget is spent. Failed calls end it too: what was found counts.
inline constexpr int kMaxHops = 5;
std::vector<Hop> self_ask(Asking& asking, const QueryPlan& plan);

// What was found, a line for each chain of hops: "Who directed Quiet Mill? Ada Quill. When was Ada Quill
// born? 4 May 1874 (the earlier date)". Dates are compared here: small models get that wrong.
std::vector<std::string> known_facts(const std::vector<Hop>& hops);

// The answer that follows from what was found, in a few words: by the dates where they decide
// (compare_dates.h), else by the model; "" when nothing was found or the call failed.
std::string conclude(Asking& asking, const QueryPlan& plan, const std::vector<Hop>& hops);

}  // namespace lectern
