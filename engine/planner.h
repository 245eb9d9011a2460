// From a model, the free memory and the length of a text to a plan of how it is read whole: how long a
// context, how keys and values are kept, in pieces of how many tokens, sparsely or in full, in how much
// memory and, where the speed is known, how long it takes. Made before any work starts, so that nothing runs
// out of memory half way. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/backend.h"
#include "engine/model_file.h"

namespace lectern {

// What a model costs to run on the CPU backend.
struct ContextCosts {
  int context_tokens = 0;        // that it can read, extensions included
  int64_t weight_bytes = 0;      // that loading it takes
  int64_t kv_bytes_f16 = 0;      // of one position
  int64_t kv_bytes_int8 = 0;     // the same in a cache of bytes
  int64_t activation_bytes = 0;  // of one token of the piece that is being read
  double token_work = 0;         // of one token without attention, in multiplications of weights
  double attention_work = 0;     // of one token for every position that it attends to, in the same unit
};

ContextCosts context_costs(const ModelFile& model);

// Work of reading the first n tokens of a text, all positions attended to: only shares of it mean something.
double reading_work(const ContextCosts& costs, int64_t n_tokens);

// How long this model took on this machine to read so many tokens from the first one on.
struct ReadingSpeed {
  int64_t tokens = 0;
  double seconds = 0;
};

struct ContextWish {
  int64_t text_tokens = 0;        // to be read
  int64_t other_tokens = 0;       // that the context must hold beside them: question, answer, a conversation
  int64_t free_bytes = 0;         // before the model is loaded
  int max_context_tokens = 0;     // 0: no limit but the model's
  std::optional<KvType> kv_type;  // none: halves, or bytes where only they fit
  SparsePrefill sparse;
  std::optional<ReadingSpeed> speed;
};

struct ContextPlan {
  int64_t text_tokens = 0, other_tokens = 0;  // as they were wanted
  int context_tokens = 0;                     // at least both; 0 when they do not fit
  KvType kv_type = KvType::kF16;
  int prefill_chunk_tokens = 0;
  SparsePrefill sparse;
  int64_t kv_bytes = 0;           // of what was wanted
  int64_t bytes = 0;              // with weights and activations
  bool kept = false;              // it was read before: nothing is read again; the caller's to say
  std::optional<double> seconds;  // to read it; of sparse reading at most that
  std::string refusal;            // not empty: it does not fit; says why, and what would

  bool fits() const { return refusal.empty(); }
  bool is_sparse() const { return text_tokens > sparse.above_tokens; }
};

// The context is the smallest of 32K, 64K, 128K, 256K, 512K and 1M tokens that holds what is wanted, or less
// where model, limit or memory end before; never less than what is wanted. An eighth of the free memory is
// left to others.
ContextPlan plan_context(const ContextCosts& costs, const ContextWish& wish);

// One line for people: "9,812 tokens of text in a context of 32K; KV in f16, 129.4 MB; read in full, 512 at a
// time; 1.0 GB of memory in all; about 41 s".
std::string describe(const ContextPlan& plan);

}  // namespace lectern
