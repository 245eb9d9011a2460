// Helpers for tests that run a backend.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"

namespace lectern::test {

// Ids of byte tokens, different for different seeds.
inline std::vector<int32_t> some_tokens(int n, int seed = 7) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 37 + i * i * 11 + seed * 101) % 256);
  return tokens;
}

// Appends `tokens` to the sequence; returns the logits of the last n_logits of them.
inline std::vector<float> run(Backend& backend, KvSequence& sequence, std::span<const int32_t> tokens,
                              int n_logits, std::span<const int32_t> label_rows = {}) {
  sequence.reserve(static_cast<int>(tokens.size()));
  const SequenceSlice slice[] = {{tokens, sequence.length(), sequence.pages(), n_logits}};
  std::vector<float> logits;
  backend.forward({slice, label_rows}, logits, CancelToken());
  sequence.advance(static_cast<int>(tokens.size()));
  return logits;
}

// The logits after each of `tokens`.
inline std::vector<float> run_all(Backend& backend, std::span<const int32_t> tokens) {
  KvSequence sequence(backend.kv_pages());
  return run(backend, sequence, tokens, static_cast<int>(tokens.size()));
}

// The logits after the last of `tokens`.
inline std::vector<float> run_last(Backend& backend, std::span<const int32_t> tokens) {
  KvSequence sequence(backend.kv_pages());
  return run(backend, sequence, tokens, 1);
}

// The logits after each of the tokens of several sequences that are read in one batch, one after the other.
inline std::vector<float> run_together(Backend& backend, std::span<const std::vector<int32_t>> sequences) {
  std::vector<KvSequence> kv;
  std::vector<SequenceSlice> slices;
  for (const auto& tokens : sequences) {
    kv.emplace_back(backend.kv_pages()).reserve(static_cast<int>(tokens.size()));
    slices.push_back({tokens, 0, kv.back().pages(), static_cast<int>(tokens.size())});
  }
  std::vector<float> logits;
  backend.forward({slices, {}}, logits, CancelToken());
  return logits;
}

// Sequences of 1, 150, 3 and 64 tokens.
inline std::vector<std::vector<int32_t>> some_sequences() {
  std::vector<std::vector<int32_t>> sequences;
  for (const int length : {1, 150, 3, 64}) sequences.push_back(some_tokens(length, length));
  return sequences;
}

// The logits after each of the tokens of several sequences, each read alone.
inline std::vector<float> run_alone(Backend& backend, std::span<const std::vector<int32_t>> sequences) {
  std::vector<float> all;
  for (const auto& tokens : sequences) {
    const std::vector<float> logits = run_all(backend, tokens);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

}  // namespace lectern::test
