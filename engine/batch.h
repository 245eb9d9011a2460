// A ragged batch cut into pieces of bounded size, for any backend: bookkeeping only, no arithmetic.
#pragma once

#include <vector>

#include "engine/backend.h"

namespace lectern {

// Consecutive tokens of one sequence that run in one piece.
struct BatchPart {
  const SequenceSlice* sequence;
  int row;    // of its first token among the piece's rows
  int begin;  // of its first token within the slice
  int n_tokens;
  int first_position;  // of its first token within the sequence
  int n_wanted;        // logits are wanted for the last n_wanted tokens
};

struct BatchPiece {
  std::vector<BatchPart> parts;
  int n_tokens = 0;
  int n_wanted = 0;
};

// The part's last n_wanted tokens, of which the first then lies at `row`.
BatchPart wanted_part(BatchPart part, int row);

// How many of a part's tokens, the first ones, need not read all pages. Few new tokens are a question rather
// than a document, and so are the last ones of a piece whose logits are wanted, which write the answer.
int n_sparse_tokens(const BatchPart& part, const SparsePrefill& sparse);

// Checks what a caller can get wrong: ids outside the vocabulary, too few pages, more logits than tokens;
// makes room for the logits. Returns how many columns they have. Throws Error(kInvalidArgument).
size_t begin_forward(const ForwardBatch& batch, int vocab_size, std::vector<float>& logits);

// In order of the sequences, so the wanted rows of the pieces one after the other are those of the batch.
std::vector<BatchPiece> split_batch(const ForwardBatch& batch, int max_tokens);

}  // namespace lectern
