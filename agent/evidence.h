// What the model is given to answer from: chunks in document order, neighbours merged, each merged passage
// under one label, within a budget counted in the model's own tokens. Plain data and pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/document_source.h"

namespace lectern {

struct EvidencePassage {
  std::vector<SourcePassage> chunks;  // neighbours in one document, ascending
  std::string text;                   // theirs, joined, as the model sees it
  // What stands after its number: title and headings, the title alone, or nothing. A small model that is to
  // summarise takes headings for the text.
  enum class Label { kPlace, kTitle, kNumber } label = Label::kPlace;
};

// Groups chunks by document in the order of each document's first (best) chunk, ascending inside a document,
// and merges neighbours. Duplicates are dropped.
std::vector<EvidencePassage> merge_neighbours(std::vector<SourcePassage> chunks);

// "[1] Title > Heading\ntext" (or "[1] text" for Label::kNumber), a blank line between passages: the label is
// what the answer cites. A passage cannot pass for another one: a line of its text that looks like a label is
// indented.
std::string render_passages(std::span<const EvidencePassage> passages);

}  // namespace lectern
