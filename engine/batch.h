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

// Checks what a caller can get wrong: ids outside the vocabulary, too few pages, more logits than tokens.
// Throws Error(kInvalidArgument).
void check_batch(const ForwardBatch& batch, int vocab_size);

// In order of the sequences, so the wanted rows of the pieces one after the other are those of the batch.
std::vector<BatchPiece> split_batch(const ForwardBatch& batch, int max_tokens);

}  // namespace lectern
