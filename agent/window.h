// How the model's real window is shared out between question, passages and answer.
#pragma once

#include <string>

#include "agent/agent.h"
#include "agent/language_model.h"
#include "agent/query_plan.h"

namespace lectern {

struct WindowShare {
  int answer = 0;    // tokens kept for the reply
  int passages = 0;  // tokens for passages
  int room = 0;      // the same, as far as the window goes, whatever AskRequest::context_tokens says
};

// Throws Error(kInvalidArgument) for an empty question and for one longer than a quarter of the window.
void check_question(const LanguageModel& model, const std::string& question);

// Throws Error(kInvalidArgument) when the question leaves no room for passages.
WindowShare share_window(const LanguageModel& model, const AskRequest& request, const QueryPlan& plan);

}  // namespace lectern
