#include "engine/batch.h"

#include <algorithm>

#include "base/error.h"

namespace lectern {
namespace {

void check_ids(std::span<const int32_t> ids, int vocab_size) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size));
    }
  }
}

void check_batch(const ForwardBatch& batch, int vocab_size) {
  for (const SequenceSlice& slice : batch.sequences) {
    check_ids(slice.tokens, vocab_size);
    const size_t end = static_cast<size_t>(slice.first_position) + slice.tokens.size();
    if (slice.first_position < 0 || slice.pages.size() * kKvPageTokens < end) {
      throw Error(ErrorCode::kInvalidArgument, "a sequence of " + std::to_string(end) + " tokens has only " +
                                                   std::to_string(slice.pages.size()) + " KV pages");
    }
    if (slice.n_logits < 0 || static_cast<size_t>(slice.n_logits) > slice.tokens.size()) {
      throw Error(ErrorCode::kInvalidArgument, "logits of " + std::to_string(slice.n_logits) + " out of " +
                                                   std::to_string(slice.tokens.size()) +
                                                   " new tokens were asked for");
    }
  }
  check_ids(batch.label_rows, vocab_size);
}

}  // namespace

BatchPart wanted_part(BatchPart part, int row) {
  const int dropped = part.n_tokens - part.n_wanted;
  part.row = row;
  part.begin += dropped;
  part.first_position += dropped;
  part.n_tokens = part.n_wanted;
  return part;
}

int n_sparse_tokens(const BatchPart& part, const SparsePrefill& sparse) {
  constexpr int kQuestionTokens = 64;
  const bool long_text = part.first_position + part.n_tokens > sparse.above_tokens;
  if (!long_text || part.n_tokens < kQuestionTokens) return 0;
  return part.n_tokens - (part.n_wanted > 0 ? kQuestionTokens : 0);
}

size_t begin_forward(const ForwardBatch& batch, int vocab_size, std::vector<float>& logits) {
  check_batch(batch, vocab_size);
  const size_t columns = batch.label_rows.empty() ? static_cast<size_t>(vocab_size) : batch.label_rows.size();
  size_t n_wanted = 0;
  for (const SequenceSlice& slice : batch.sequences) n_wanted += static_cast<size_t>(slice.n_logits);
  logits.resize(n_wanted * columns);
  return columns;
}

std::vector<BatchPiece> split_batch(const ForwardBatch& batch, int max_tokens) {
  LECTERN_CHECK(max_tokens > 0);
  std::vector<BatchPiece> pieces;
  for (const SequenceSlice& slice : batch.sequences) {
    const int n = static_cast<int>(slice.tokens.size());
    const int first_wanted = n - slice.n_logits;
    for (int begin = 0; begin < n;) {
      if (pieces.empty() || pieces.back().n_tokens == max_tokens) pieces.emplace_back();
      BatchPiece& piece = pieces.back();
      const int end = std::min(n, begin + max_tokens - piece.n_tokens);
      const int n_wanted = std::max(0, end - std::max(begin, first_wanted));
      piece.parts.push_back({.sequence = &slice,
                             .row = piece.n_tokens,
                             .begin = begin,
                             .n_tokens = end - begin,
                             .first_position = slice.first_position + begin,
                             .n_wanted = n_wanted});
      piece.n_tokens += end - begin;
      piece.n_wanted += n_wanted;
      begin = end;
    }
  }
  return pieces;
}

}  // namespace lectern
