#include "agent/whole_text.h"

#include "agent/answer_prompt.h"
#include "agent/answer_writer.h"
#include "agent/model_profile.h"
#include "agent/reading_list.h"
#include "agent/window.h"

namespace lectern {
namespace {

std::vector<int64_t> ids_of(DocumentSource& documents, const WholeRequest& whole) {
  return whole.documents.empty() ? documents.document_ids() : whole.documents;
}

// Documents whose names are compared with the request; of more, all are meant.
constexpr int64_t kMaxNamedAmong = 4096;

int64_t n_chunks(const FilledContext& text) {
  int64_t n = 0;
  for (const EvidencePassage& passage : text.passages) n += static_cast<int64_t>(passage.chunks.size());
  return n;
}

bool is_kept(Asking& asking, const QueryPlan& plan, const FilledContext& text) {
  LmRequest request = answer_request(render_passages(text.passages), plan);
  request.keep_bytes = passages_end(request);
  return asking.model.is_kept(request);
}

}  // namespace

std::vector<DocumentName> document_names(DocumentSource& documents) {
  std::vector<DocumentName> names;
  if (documents.n_documents() > kMaxNamedAmong) return names;
  for (const int64_t id : documents.document_ids()) {
    for (SourcePassage& first : documents.read(id, 0, 1))
      names.push_back({id, std::move(first.path), std::move(first.title)});
  }
  return names;
}

std::vector<int64_t> documents_meant(DocumentSource& documents, std::string_view request) {
  return ids_of(documents, whole_request(request, [&] { return document_names(documents); }));
}

FilledContext whole_text(DocumentSource& documents, std::span<const int64_t> ids, const CancelToken& cancel) {
  std::vector<SourcePassage> chunks;
  for_each_chunk(documents, {ids.begin(), ids.end()}, cancel, [&](SourcePassage chunk) {
    chunks.push_back(std::move(chunk));
    return true;
  });
  FilledContext text;
  text.passages = merge_neighbours(std::move(chunks));
  for (EvidencePassage& passage : text.passages) passage.label = EvidencePassage::Label::kTitle;
  text.orders = leave_out_orders(text.passages);
  text.comes_again = true;
  return text;
}

std::optional<FilledContext> better_read_at_once(Asking& asking, const QueryPlan& plan,
                                                 const WholeRequest& whole) {
  const ModelProfile& profile = profile_of(asking.model);
  const AskBudget& budget = asking.request.budget;
  const bool in_spans = whole.task == WholeTask::kList || budget.chunks > 0 || budget.seconds > 0;
  if (!profile.reads_long || in_spans) return std::nullopt;
  const int room = share_window(asking.model, asking.request, plan).room;
  // No text has more characters a token than this; what is far too long is not rendered.
  constexpr uint64_t kMaxCharactersOfToken = 16;
  if (whole.documents.empty() &&
      asking.documents.n_characters() > static_cast<uint64_t>(room) * kMaxCharactersOfToken)
    return std::nullopt;
  FilledContext text = whole_text(asking.documents, ids_of(asking.documents, whole), asking.cancel);
  text.tokens = asking.model.count_tokens(render_passages(text.passages));
  if (text.tokens > room) return std::nullopt;
  const int in_spans_read = budget.tokens > 0 ? budget.tokens : profile_of(asking.helper).whole_tokens;
  if (text.tokens > in_spans_read && !is_kept(asking, plan, text)) return std::nullopt;
  return text;
}

void answer_from_whole_text(Asking& asking, QueryPlan plan, const WholeRequest& whole,
                            std::optional<FilledContext> text, Answer& answer) {
  if (whole.task == WholeTask::kSummary || whole.task == WholeTask::kCompare)
    plan.instruction = {how_to_answer(whole.task, plan.question)};
  const WindowShare share = share_window(asking.model, asking.request, plan);
  if (!text) {
    text = whole_text(asking.documents, ids_of(asking.documents, whole), asking.cancel);
    text->tokens = asking.model.count_tokens(render_passages(text->passages));
  }
  if (text->tokens > share.room) {
    throw Error(ErrorCode::kInvalidArgument,
                "level 4 reads the documents whole, and their " + std::to_string(text->tokens) +
                    " tokens do not fit the " + std::to_string(share.room) +
                    " that question and answer leave of the " +
                    std::to_string(asking.model.context_tokens()) + " that " + asking.model.name() +
                    " has here: use level auto or whole, which read passages or spans, or fewer documents");
  }
  answer.chunks_read = answer.chunks_in_scope = n_chunks(*text);
  const bool kept = !text->passages.empty() && is_kept(asking, plan, *text);
  asking.tracer.add("whole",
                    std::to_string(text->tokens) + " tokens of " + std::to_string(text->passages.size()) +
                        " documents are given whole" + (kept ? ", kept from before" : ""),
                    {{"tokens", text->tokens},
                     {"documents", text->passages.size()},
                     {"orders_left_out", text->orders},
                     {"room", share.room},
                     {"kept", kept}});
  write_answer(asking, plan, *text, share.answer, std::nullopt, answer);
}

}  // namespace lectern
