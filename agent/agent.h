// Answers a question from documents, with verified citations.
// Knows models and documents only through its two interfaces.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/document_source.h"
#include "agent/language_model.h"
#include "agent/text_terms.h"
#include "agent/trace.h"
#include "base/cancel.h"
#include "base/progress.h"

namespace lectern {

// How documents are read: all of a short one at once (0), by retrieval (1), chunk by chunk (2), by
// sub-questions (3), whole in the model's own window however long they are (4), or whole in spans, for
// requests about whole documents.
enum class Level { kAuto, kFit, kRetrieve, kRead, kSelfAsk, kNative, kWhole };

std::string_view to_string(Level level);  // "auto", "0", ... "4", "whole"
std::optional<Level> parse_level(std::string_view name);

// What a question may cost; 0: no limit. What was found until a limit is reached is answered from.
struct AskBudget {
  int chunks = 0;  // read one by one, in level 2, or in spans, of whole documents
  int tokens = 0;  // the same in tokens of the model; of whole documents only
  // Before the answer is begun; of whole documents with the answer, as far as that can be foretold.
  double seconds = 0;
};

// When the model is asked to split the request and to find keywords before the search. kAuto: where it pays,
// which is a request of several parts (split), and documents in another language than the question's or a
// question whose words the documents hardly hold (keywords).
enum class HelperCalls { kAuto, kAlways, kNever };

struct AskRequest {
  std::string question;
  Level level = Level::kAuto;
  int context_tokens = 8192;  // for passages; never more than the model's real window less the answer
  int max_passages = 0;       // chunks; 0: what suits the model (model_profile.h)
  int max_answer_tokens = 512;
  AskBudget budget;
  uint64_t seed = 0;
  HelperCalls helper_calls = HelperCalls::kAuto;
  std::vector<LmMessage> history;  // earlier turns of a chat, oldest first
};

struct Citation {
  int number = 0;                           // [n] in the answer: from 1, in order of appearance
  SourcePassage passage;                    // the chunk that holds the quote, with its lines and heading
  std::string quote;                        // verbatim substring of the document's text, never empty
  uint64_t quote_begin = 0, quote_end = 0;  // bytes of the document's text
};

// Why an answer ended before the model was done: it reached max_answer_tokens, or it went round in circles.
enum class AnswerCut { kNone, kLimit, kLoop };

std::string_view to_string(AnswerCut cut);  // "none", "limit", "loop"

struct Answer {
  std::string text;   // with [n] markers, each of them in `citations`
  bool found = true;  // false: "not in these documents"
  std::vector<Citation> citations;
  std::vector<TextRange> unsupported;  // bytes of `text`: sentences that no passage supports
  std::vector<SourcePassage> context;  // chunks that the model was given, in that order
  AnswerCut cut = AnswerCut::kNone;    // the text ends early: nothing is cut silently
  int passages_left_out = 0;           // ranked chunks that did not fit, neither
  int64_t chunks_read = 0;             // of whole documents, in spans, and
  int64_t chunks_in_scope = 0;         // how many there are; 0: another level
  std::string standalone_question;     // a chat follow-up, as it was understood; else the question
  Level level = Level::kRetrieve;      // the one used
  Trace trace;
};

struct AskEvents {
  std::function<void(const TraceStep&)> on_step;
  // Of chunks read one by one, of spans, of the tokens of whole documents, of replies.
  ProgressFn on_progress;
  // The answer as it streams: what was given stays, and together it is Answer::text. false stops.
  std::function<bool(std::string_view)> on_text;
};

class Agent {
 public:
  // Keeps references to its arguments. One question at a time. `helper`: a smaller model for the cheap calls
  // (rewriting, splitting, keywords, scores).
  Agent(LanguageModel& model, DocumentSource& documents) : Agent(model, model, documents) {}
  Agent(LanguageModel& model, LanguageModel& helper, DocumentSource& documents)
      : model_(&model), helper_(&helper), documents_(&documents) {}

  // Throws Error(kInvalidArgument) for an empty question or one too long for the model's window (it says the
  // limit), and for a forced level 0 or 4 that does not fit; kCancelled. A failed helper call (rewrite,
  // split, keywords) falls back and never loses the question.
  Answer ask(const AskRequest& request, const AskEvents& events, const CancelToken& cancel);

 private:
  LanguageModel* model_;
  LanguageModel* helper_;
  DocumentSource* documents_;
};

}  // namespace lectern
