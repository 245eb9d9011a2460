// Guesses the next tokens from the text so far: what followed when the last few tokens were written before.
// Answers from documents copy names and phrases of their passages, so the guesses are often right, and
// several right ones are read in one pass. Saxena 2023 ("prompt lookup decoding"); Yang et al. 2023,
// arXiv:2304.04487.
#pragma once

#include <cstdint>
#include <span>

namespace lectern {

// What followed the longest earlier occurrence of the end of `tokens` (of several equally long ones the
// latest), at most `max_tokens`; a part of `tokens`. Empty when fewer than two last tokens occur earlier.
std::span<const int32_t> look_up_draft(std::span<const int32_t> tokens, size_t max_tokens);

// How many tokens are worth guessing: reading wrong ones costs time, so the length follows the success.
class DraftLength {
 public:
  explicit DraftLength(int most) : most_(most), now_(most < kFirst ? most : kFirst) {}

  size_t now() const { return static_cast<size_t>(now_); }
  // `accepted` of the `guessed` tokens were right.
  void learn(size_t guessed, size_t accepted);

 private:
  static constexpr int kFirst = 4;
  int most_;
  int now_;
};

}  // namespace lectern
