// Fills the model's context with evidence, within a budget counted in its own tokens.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "agent/document_source.h"
#include "agent/evidence.h"
#include "agent/language_model.h"

namespace lectern {

struct FilledContext {
  std::vector<EvidencePassage> passages;
  size_t n_unread = 0;       // of the passages, the last: the model is not shown them, but they can support
  int tokens = 0;            // of those shown, rendered
  int left_out = 0;          // ranked chunks that did not fit
  int orders = 0;            // sentences not shown because they give orders (orders.h)
  bool comes_again = false;  // the same passages will be asked about again: worth keeping (whole_text.h)

  std::span<const EvidencePassage> shown() const {
    return std::span(passages).first(passages.size() - n_unread);
  }
};

// Takes the sentences that give orders out of what the model may see of each passage; returns how many.
int leave_out_orders(std::vector<EvidencePassage>& passages);

// Every chunk of every document, when all of it fits; else none.
std::optional<FilledContext> whole_documents(DocumentSource& documents, const LanguageModel& model,
                                             int max_tokens);

// The ranked chunks without repeats, at most `limit`.
std::vector<SourcePassage> first_of_each(std::vector<SourcePassage> ranked, size_t limit);

// Adds chunks that the model is not shown.
void add_unread(std::vector<SourcePassage> chunks, FilledContext& context);

// The best of the ranked chunks that fit, merged and in document order.
FilledContext fill_context(const std::vector<SourcePassage>& ranked, const LanguageModel& model,
                           int max_tokens);

}  // namespace lectern
