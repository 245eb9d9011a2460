#include "agent/trace.h"

namespace lectern {

Json to_json(const Trace& trace) {
  Json steps = Json::array();
  for (const TraceStep& step : trace.steps) {
    Json entry = {{"kind", step.kind}, {"detail", step.detail}, {"seconds", step.seconds}};
    if (step.prompt_tokens > 0) {
      entry["prompt_tokens"] = step.prompt_tokens;
      entry["cached_prompt_tokens"] = step.cached_prompt_tokens;
      entry["new_tokens"] = step.new_tokens;
    }
    if (!step.data.is_null() && !step.data.empty()) entry["data"] = step.data;
    steps.push_back(std::move(entry));
  }
  return {{"calls", trace.calls},
          {"prompt_tokens", trace.prompt_tokens},
          {"cached_prompt_tokens", trace.cached_prompt_tokens},
          {"new_tokens", trace.new_tokens},
          {"seconds", trace.seconds},
          {"steps", std::move(steps)}};
}

}  // namespace lectern
