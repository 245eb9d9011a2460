// Which sentences of a chunk help to answer a question. The model only names their numbers, under constraint:
// what comes back is the document's own text, whatever the model is or the document says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/document_source.h"
#include "agent/helper_call.h"
#include "agent/text_terms.h"

namespace lectern {

// Ranges of chunk.text, in order; empty: the model says that none helps. Nothing when the call failed.
// Throws Error(kCancelled).
std::optional<std::vector<TextRange>> extract_sentences(const HelperContext& context,
                                                        const std::string& question,
                                                        const SourcePassage& chunk);

}  // namespace lectern
