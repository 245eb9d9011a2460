// Questions to the documents of a collection.
#include "agent/agent.h"

#include "agent/collection_source.h"
#include "apps/capi/guarded.h"
#include "apps/capi/handles.h"
#include "apps/capi/passages.h"
#include "apps/capi/stop.h"
#include "apps/common/answers.h"
#include "apps/common/reports.h"

namespace lectern::capi {
namespace {

constexpr int kMaxContextTokens = 1 << 20, kMaxPassages = 10'000, kMaxAnswerTokens = 1 << 16;

Level level_of(const char* text) {
  const auto level = parse_level(text == nullptr ? "auto" : text);
  if (!level) refuse(std::string("level: '") + text + "' is none of auto, 0, 1, 2, 3, 4, whole");
  return *level;
}

std::vector<LmMessage> history_of(const lectern_ask_options& options) {
  require_list(options.history, options.n_history, "history");
  std::vector<LmMessage> history;
  for (size_t i = 0; i < options.n_history; ++i) {
    require(options.history[i].role, "role");
    const auto role = word<LmMessage::Role>(
        options.history[i].role,
        {{"user", LmMessage::Role::kUser}, {"assistant", LmMessage::Role::kAssistant}}, "role");
    history.push_back({role, required_text(options.history[i].text, "text")});
  }
  return history;
}

AskRequest request_of(const char* question, const lectern_ask_options& options) {
  AskRequest request;
  request.question = required_text(question, "question");
  require_words(request.question, "question");
  request.level = level_of(options.level);
  request.helper_calls = word<HelperCalls>(
      options.helpers,
      {{"auto", HelperCalls::kAuto}, {"always", HelperCalls::kAlways}, {"never", HelperCalls::kNever}},
      "helpers");
  request.context_tokens =
      number_or(options.context_tokens, request.context_tokens, 256, kMaxContextTokens, "context_tokens");
  request.max_passages = number_or(options.max_passages, 0, 1, kMaxPassages, "max_passages");
  request.max_answer_tokens = number_or(options.max_answer_tokens, request.max_answer_tokens, 1,
                                        kMaxAnswerTokens, "max_answer_tokens");
  request.budget.chunks =
      number_or(options.budget_passages, 0, 1, std::numeric_limits<int>::max(), "budget_passages");
  request.budget.tokens =
      number_or(options.budget_tokens, 0, 1, std::numeric_limits<int>::max(), "budget_tokens");
  if (!(options.budget_seconds >= 0)) refuse("budget_seconds: must be 0, for no limit, or more");
  request.budget.seconds = options.budget_seconds;
  request.seed = options.seed;
  request.history = history_of(options);
  return request;
}

const lectern_citation* citation_of(const Citation& citation, Memory& memory) {
  auto* out = memory.take<lectern_citation>();
  out->number = citation.number;
  out->passage = passage_of(citation.passage, memory);
  out->quote = memory.text(citation.quote);
  out->quote_bytes = citation.quote.size();
  out->quote_begin = citation.quote_begin;
  out->quote_end = citation.quote_end;
  return out;
}

const lectern_answer* result_of(const Answer& answer) {
  auto out = std::make_unique<Result<lectern_answer>>();
  Memory& memory = out->memory;
  out->text = memory.text(answer.text);
  out->text_bytes = answer.text.size();
  out->found = answer.found ? 1 : 0;
  out->supported = is_supported(answer) ? 1 : 0;
  auto** citations = memory.take<const lectern_citation*>(answer.citations.size());
  for (const Citation& citation : answer.citations)
    citations[out->n_citations++] = citation_of(citation, memory);
  out->citations = citations;
  ByteRanges unsupported;
  for (const TextRange& range : answer.unsupported) unsupported.emplace_back(range.begin, range.end);
  out->n_unsupported = unsupported.size();
  out->unsupported = ranges_of(unsupported, memory);
  auto** passages = memory.take<const lectern_passage*>(answer.context.size());
  for (const SourcePassage& passage : answer.context)
    passages[out->n_passages++] = passage_of(passage, memory);
  out->passages = passages;
  out->n_passages_left_out = answer.passages_left_out;
  out->n_read = answer.chunks_read;
  out->n_in_scope = answer.chunks_in_scope;
  out->question = memory.text(answer.standalone_question);
  out->level = memory.text(to_string(answer.level));
  out->n_calls = answer.trace.calls;
  out->prompt_tokens = answer.trace.prompt_tokens;
  out->new_tokens = answer.trace.new_tokens;
  out->seconds = answer.trace.seconds;
  out->trace_json = memory.text(dump_json(to_json(answer.trace)));
  out->cut = memory.text(to_string(answer.cut));
  return out.release();
}

const lectern_answer* ask(lectern_model* model, const lectern_collection* collection, const char* question,
                          const lectern_ask_options& options) {
  require(model, "model");
  require(collection, "collection");
  const AskRequest request = request_of(question, options);
  require_list(options.documents, options.n_documents, "documents");
  for (size_t i = 0; i < options.n_documents; ++i)
    collection->collection->passages(options.documents[i], 0, 1);  // throws for one that is not there
  const Stop stop(options.cancel);
  AskEvents events;
  events.on_step = [&](const TraceStep& step) { stop.step(options.on_step, step, options.user_data); };
  events.on_progress = stop.progress(options.on_progress, options.user_data);
  events.on_text = [&](std::string_view text) { return stop.text(options.on_text, text, options.user_data); };
  CollectionSource source(*collection->collection,
                          {options.documents, options.documents + options.n_documents});
  const Answer answer = Agent(*model->language_model, source).ask(request, events, stop.token());
  if (stop.token().cancelled()) throw Error(ErrorCode::kCancelled, "the answer was cancelled");
  return result_of(answer);
}

}  // namespace
}  // namespace lectern::capi

using namespace lectern::capi;

int lectern_ask(lectern_model* model, const lectern_collection* collection, const char* question,
                const lectern_ask_options* options, const lectern_answer** out) {
  return guarded_into(out, [&] {
    return ask(model, collection, question, read_options(options, kFirstAskOptions, "lectern_ask_options"));
  });
}

void lectern_answer_free(const lectern_answer* answer) {
  free_result(answer);
}
