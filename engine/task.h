// What a request is to the engine thread: a state machine that says which token sequences it wants read next
// and takes the logits they give. A task is built by the caller's thread and from then on, until the
// scheduler has let go of it, used by the engine thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kv_cache.h"
#include "engine/priority.h"

namespace lectern {

// A token sequence on its way into the KV cache, some tokens a step.
struct Reading {
  explicit Reading(KvPagePool& pool) : sequence(pool) {}

  int length() const { return sequence.length(); }
  int left() const { return static_cast<int>(tokens.size()) - length(); }
  // The first token whose logits are still wanted.
  int first_wanted() const { return static_cast<int>(tokens.size()) - n_logits + n_rows_done; }
  // What may come from another sequence's KV: everything before that token.
  std::span<const int32_t> reusable() const { return tokens.first(static_cast<size_t>(first_wanted())); }
  // Wanted rows among the next n tokens.
  int rows_in(int n) const {
    const int end = length() + n, first = first_wanted();
    return end <= first ? 0 : end - (first > length() ? first : length());
  }

  std::span<const int32_t> tokens;  // the whole sequence; the task's
  int n_logits = 0;                 // wanted of the last so many tokens
  int n_rows_done = 0;              // of them, that the task has taken
  int n_kept = 0;                   // the first so many tokens may be in the prefix cache's store
  KvSequence sequence;              // what has been read
  int n_cached = 0;                 // of it, what came from another sequence's KV
  // The scheduler's:
  int n_planned = 0;     // tokens to be read in this step
  bool waiting = false;  // another reading is ahead with the same beginning
};

class Task {
 public:
  virtual ~Task() = default;

  virtual Priority priority() const = 0;
  // As in ForwardBatch; the same throughout.
  virtual std::span<const int32_t> label_rows() const { return {}; }

  // The i-th sequence that can be read now, begun when it was not yet: null when no more can. Asked for the
  // first one the task goes on as far as it can without the model. Valid until take() or put_back().
  virtual Reading* reading(size_t i) = 0;
  // No more to read: every result is there.
  virtual bool done() const = 0;
  // Tokens still to be read, as far as is known.
  virtual int64_t n_tokens_left() const = 0;
  // Text is on its way to somebody who reads it.
  virtual bool streaming() const { return false; }
  // The rest of `reading` is about to be read: up to `most` guessed tokens may be appended.
  virtual void guess(Reading& reading, int most) {
    static_cast<void>(reading);
    static_cast<void>(most);
  }
  // `reading` has advanced; logits [n_rows, columns] of its wanted tokens first_row, first_row + 1, ...,
  // which may be overwritten. n_rows is 0 where none of them was wanted. `reading` may be gone afterwards.
  virtual void take(Reading& reading, int first_row, int n_rows, std::span<float> logits) = 0;

  // What its first sequence begins with.
  virtual std::span<const int32_t> beginning() const = 0;
  // The longest sequence it has to read, in tokens, and the KV pages that its sequences hold.
  virtual int max_tokens() const = 0;
  virtual int n_pages() const = 0;
  // Lets all pages go. What was in them is read again: the results do not change.
  virtual void put_back() = 0;
  // Lets all pages go but those of `reading`.
  virtual void keep_only(const Reading& reading) { static_cast<void>(reading); }

  // The request was cancelled: what it then gives, or Error(kCancelled).
  virtual void cancel() = 0;
  // Called last, unless something threw: what was read may be kept for later requests.
  virtual void end() {}
};

}  // namespace lectern
