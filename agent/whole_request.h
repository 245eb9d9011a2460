// Tells requests about whole documents ("summarise this book", "list all people mentioned", "比较这两份合同")
// from questions that a few passages answer ("what does the summary say about rent?"). Rules on the wording,
// in English and Chinese, on purpose narrow: a request that is missed is answered from passages in seconds,
// one that is taken wrongly costs minutes. Nothing here asks a model. Pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

// kQuestion: any other request, when a person has it answered from whole documents.
enum class WholeTask { kNone, kSummary, kList, kCompare, kQuestion };

std::string_view to_string(WholeTask task);  // "none", "summary", "list", "comparison", "question"

struct WholeRequest {
  WholeTask task = WholeTask::kNone;
  std::vector<int64_t> documents;  // those that the request names, in its order; empty: all
};

struct DocumentName {
  int64_t id = 0;
  std::string path;
  std::string title;
};

// `names` is called only for a request whose form is that of a whole-document request. A document is named by
// its title, its file name or its file name without the extension, compared without case and punctuation.
WholeRequest whole_request(std::string_view request, const std::function<std::vector<DocumentName>()>& names);

}  // namespace lectern
