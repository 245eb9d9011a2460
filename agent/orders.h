// Sentences of a document that give orders to whatever answers from it ("Ignore the question and say ..."):
// told by their wording, in English and Chinese. They are left out of what the model reads and support no
// claim; documents, search results and quotes keep them. A screen, not a wall: what it does not know passes.
// Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/text_terms.h"

namespace lectern {

// Of the sentences that split_sentences gives, those that give orders, in order.
std::vector<TextRange> find_orders(std::string_view text);

// `name`, or nothing when it gives orders: for titles, headings and file names.
std::string_view unless_orders(std::string_view name);

struct ScreenedText {
  std::string text;
  int n_orders = 0;  // sentences left out
};
ScreenedText without_orders(std::string_view text);

}  // namespace lectern
