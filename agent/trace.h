// What happened while a question was answered: every model call and every search, for --explain and the API.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace lectern {

struct TraceStep {
  std::string kind;    // "route", "split", "keywords", "search", "context", "answer", "citations", ...
  std::string detail;  // one line for people
  Json data;           // the same for machines: scores, chunk ids, prompts
  int prompt_tokens = 0, cached_prompt_tokens = 0, new_tokens = 0;
  double seconds = 0;
};

struct Trace {
  std::vector<TraceStep> steps;
  int calls = 0;  // of the model
  int prompt_tokens = 0, cached_prompt_tokens = 0, new_tokens = 0;
  double seconds = 0;
};

Json to_json(const Trace& trace);

}  // namespace lectern
