// From logits to the next token. Deterministic for a given seed and history, and greedy at temperature 0. Not
// thread-safe: a Sampler belongs to one generation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace lectern {

struct SamplingParams {
  float temperature = 0.0f;         // 0: greedy; at most 100
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // in [0, 1]; 1: off; 0 keeps the most likely token only
  float min_p = 0.0f;               // in [0, 1], a share of the most likely token's probability; 0: off
  float repetition_penalty = 1.0f;  // 1: off, and off for extraction and scoring; in [0.01, 100]
  uint64_t seed = 0;
};

// Throws Error(kInvalidArgument) naming the field for NaN, negative or out-of-range values.
void validate(const SamplingParams& params);

class Sampler {
 public:
  explicit Sampler(const SamplingParams& params);

  // `logits` [n_vocab] of the ids that may be produced; modified. `history`: ids the penalty applies to.
  // `allowed_mask`: one bit an id, empty for all; ids beyond its end are not allowed. Applied in this order:
  // repetition penalty, mask, temperature, top_k, top_p, min_p. Of equal logits the lowest id wins. Throws
  // Error(kCorrupt) when an allowed logit is NaN or infinite, kInvalidArgument when no id is allowed.
  int32_t sample(std::span<float> logits, std::span<const int32_t> history,
                 std::span<const uint64_t> allowed_mask);

 private:
  struct Candidate {
    double weight;
    int32_t id;
  };

  void collect_candidates(std::span<const float> logits, float best_logit);
  size_t truncate();
  size_t sort_best(size_t begin, size_t end, size_t n);
  int32_t draw(size_t n);

  SamplingParams params_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;  // reused from call to call
};

}  // namespace lectern
