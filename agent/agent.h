// Answers a question from documents, with verified citations: levels 0 (everything fits) and 1 (retrieve).
// Knows models and documents only through its two interfaces.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/document_source.h"
#include "agent/language_model.h"
#include "agent/trace.h"
#include "base/cancel.h"

namespace lectern {

enum class Level { kAuto, kFit, kRetrieve };  // auto, 0, 1

struct AskRequest {
  std::string question;
  Level level = Level::kAuto;
  int context_tokens = 8192;  // for passages; never more than the model's real window less the answer
  int max_passages = 0;       // 0: as many as fit the budget
  int max_answer_tokens = 512;
  uint64_t seed = 0;
  bool use_model_keywords = true;  // false: the deterministic keywords only
  std::vector<LmMessage> history;  // earlier turns of a chat, oldest first
};

struct Citation {
  int number = 0;                           // [n] in the answer
  SourcePassage passage;                    // the chunk (merged neighbours: the whole range)
  std::string quote;                        // verbatim substring of the document's text, never empty
  uint64_t quote_begin = 0, quote_end = 0;  // bytes of the document's text
};

struct Answer {
  std::string text;   // with [n] markers, each of them in `citations`
  bool found = true;  // false: "not in these documents"
  std::vector<Citation> citations;
  std::vector<SourcePassage> context;  // what the model was given, in that order
  int passages_left_out = 0;           // ranked passages that did not fit: nothing is cut silently
  Level level = Level::kRetrieve;
  Trace trace;
};

struct AskEvents {
  std::function<void(const TraceStep&)> on_step;
  std::function<bool(std::string_view)> on_text;  // the answer as it streams; false stops
};

class Agent {
 public:
  Agent(LanguageModel& model, DocumentSource& documents) : model_(&model), documents_(&documents) {}

  // Throws Error(kInvalidArgument) for an empty question or one too long for the model's window (it says the
  // limit); kCancelled. A failed helper call (split, keywords) falls back and never loses the question.
  Answer ask(const AskRequest& request, const AskEvents& events, const CancelToken& cancel);

 private:
  LanguageModel* model_;
  DocumentSource* documents_;
};

}  // namespace lectern
