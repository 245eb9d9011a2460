// One question on its way to an answer: what the levels share. Made for one call of Agent::ask, on one
// thread.
#pragma once

#include "agent/agent.h"
#include "agent/languages.h"
#include "agent/query_plan.h"
#include "agent/tracer.h"
#include "base/clock.h"

namespace lectern {

struct Asking {
  LanguageModel& model;   // extracts, reasons, answers
  LanguageModel& helper;  // splits, finds keywords, scores, decides; may be the same
  DocumentSource& documents;
  const AskRequest& request;
  const AskEvents& events;
  Tracer& tracer;
  const CancelToken& cancel;
  Stopwatch watch = Stopwatch();  // since the question came

  // Two-letter code; "" when unclear.
  std::string language_of(std::string_view text) const {
    std::string code = documents.guess_language(text);
    return code.empty() ? std::string(language_of_script(text)) : code;
  }

  HelperContext helpers() const { return {helper, tracer, cancel}; }

  // Work that can stop early asks here before it goes on.
  bool out_of_time() const { return request.budget.seconds > 0 && watch.seconds() >= request.budget.seconds; }
};

}  // namespace lectern
