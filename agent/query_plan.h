// From a request to search queries: the standalone question of a chat follow-up, the split into information
// and instruction, and keywords in the languages of the documents. Each is one constrained call of the model
// (helper_call.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/document_source.h"
#include "agent/helper_call.h"
#include "agent/language_model.h"

namespace lectern {

struct Keywords {
  std::string language;  // two-letter code
  std::vector<std::string> words;
};

struct QueryPlan {
  std::string question;                  // the whole request
  std::vector<std::string> information;  // what must be looked up; at least one
  std::vector<std::string> instruction;  // how the answer must be written; may be empty
  std::vector<Keywords> keywords;
  bool prepared = false;           // split and keywords were tried (retrieve.h)
  std::vector<std::string> known;  // what sub-questions found, a line each
  std::string conclusion;          // the answer that follows from it; may be empty

  // The question weighs double; each language's keywords are a query of their own.
  std::vector<SourceQuery> queries() const;
  std::string looked_up() const;  // the information, one item a line
  std::vector<std::string> all_keywords() const;
};

// The follow-up `question` so that it stands alone. As much of the history as fits `max_history_tokens` is
// shown to the model, newest turns first; what was dropped is in the trace.
std::string standalone_question(const HelperContext& context, const std::vector<LmMessage>& history,
                                const std::string& question, int max_history_tokens);

// One short sentence has nothing to split: the answer prompt shows it whole anyway.
bool worth_splitting(std::string_view request);
void split_request(const HelperContext& context, QueryPlan& plan);

// Languages in which keywords may find what the question itself cannot: those of the documents, at most
// kMaxKeywordLanguages, the question's own left out.
inline constexpr size_t kMaxKeywordLanguages = 4;
std::vector<std::string> keyword_languages(std::string_view question_language,
                                           const std::vector<std::string>& document_languages);
void find_keywords(const HelperContext& context, const std::vector<std::string>& languages, QueryPlan& plan);

}  // namespace lectern
