// Records what happens while a question is answered, and tells the caller as it happens.
#pragma once

#include <functional>
#include <string>

#include "agent/agent.h"
#include "agent/language_model.h"
#include "agent/trace.h"
#include "base/cancel.h"
#include "base/clock.h"

namespace lectern {

class Tracer {
 public:
  // Keeps references to its arguments.
  Tracer(Trace& trace, const std::function<void(const TraceStep&)>& on_step)
      : trace_(&trace), on_step_(&on_step) {}

  void add(TraceStep step);
  void add(std::string kind, std::string detail, Json data = Json::object());

  // One call of the model, recorded with its messages and reply whether it succeeds or throws.
  LmReply chat(LanguageModel& model, const LmRequest& request, const LmTextCallback& on_text,
               const CancelToken& cancel);

 private:
  Trace* trace_;
  const std::function<void(const TraceStep&)>* on_step_;
};

}  // namespace lectern
