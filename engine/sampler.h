// From logits to the next token. Deterministic for a given seed and history, and greedy at temperature 0.
#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace lectern {

struct SamplingParams {
  float temperature = 0.0f;  // 0: greedy
  int top_k = 0;             // 0: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;  // 1: off, and off for extraction and scoring
  uint64_t seed = 0;
};

// Throws Error(kInvalidArgument) naming the field for NaN, negative or out-of-range values.
void validate(const SamplingParams& params);

class Sampler {
 public:
  explicit Sampler(const SamplingParams& params);

  // `logits` [n_vocab] is modified. `history`: ids the penalty applies to. `allowed_mask`: one bit an id,
  // empty for all; at least one allowed id must have a finite logit.
  int32_t sample(std::span<float> logits, std::span<const int32_t> history,
                 std::span<const uint64_t> allowed_mask);

 private:
  SamplingParams params_;
  std::mt19937_64 random_;
};

}  // namespace lectern
