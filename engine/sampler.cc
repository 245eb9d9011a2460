#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"

namespace lectern {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

void check_range(const char* field, float value, float low, float high) {
  if (value >= low && value <= high) return;  // false for NaN
  throw Error(ErrorCode::kInvalidArgument, std::string(field) + " is " + std::to_string(value) +
                                               "; it must lie between " + std::to_string(low) + " and " +
                                               std::to_string(high));
}

bool is_allowed(std::span<const uint64_t> mask, size_t id) {
  return id / 64 < mask.size() && (mask[id / 64] >> (id % 64) & 1) != 0;
}

// The penalty of Keskar et al. 2019 (arXiv:1909.05858), once for each id that occurs.
void penalise(std::span<float> logits, std::span<const int32_t> history, float penalty) {
  std::vector<int32_t> ids(history.begin(), history.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const int32_t id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

}  // namespace

void validate(const SamplingParams& params) {
  check_range("temperature", params.temperature, 0.0f, 100.0f);
  check_range("top_p", params.top_p, 0.0f, 1.0f);
  check_range("min_p", params.min_p, 0.0f, 1.0f);
  check_range("repetition_penalty", params.repetition_penalty, 0.01f, 100.0f);
  if (params.top_k < 0)
    throw Error(ErrorCode::kInvalidArgument,
                "top_k is " + std::to_string(params.top_k) + "; it must be 0 (off) or positive");
}

Sampler::Sampler(const SamplingParams& params) : params_(params), random_(params.seed) {
  validate(params);
}

int32_t Sampler::sample(std::span<float> logits, std::span<const int32_t> history,
                        std::span<const uint64_t> allowed_mask) {
  if (params_.repetition_penalty != 1.0f) penalise(logits, history, params_.repetition_penalty);
  size_t best = logits.size();
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!allowed_mask.empty() && !is_allowed(allowed_mask, id)) logits[id] = kMinusInfinity;
    if (std::isnan(logits[id]) || logits[id] == std::numeric_limits<float>::infinity())
      throw Error(ErrorCode::kCorrupt,
                  "the logit of token " + std::to_string(id) + " is not a number; the model file is damaged");
    if (logits[id] != kMinusInfinity && (best == logits.size() || logits[id] > logits[best])) best = id;
  }
  if (best == logits.size()) throw Error(ErrorCode::kInvalidArgument, "no token is allowed to follow");
  if (params_.temperature == 0.0f) return static_cast<int32_t>(best);
  collect_candidates(logits, logits[best]);
  return draw(truncate());
}

// Weights relative to the most likely token's, which has 1; tokens too unlikely to have any are left out.
void Sampler::collect_candidates(std::span<const float> logits, float best_logit) {
  candidates_.clear();
  for (size_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp((static_cast<double>(logits[id]) - best_logit) / params_.temperature);
    if (weight > 0) candidates_.push_back({weight, static_cast<int32_t>(id)});
  }
}

// Orders the candidates that survive top_k, top_p and min_p, best first, at the beginning of candidates_;
// returns how many. Each limit takes the probabilities as they are after the one before it.
size_t Sampler::truncate() {
  const bool cut_k = params_.top_k > 0 && static_cast<size_t>(params_.top_k) < candidates_.size();
  const bool cut_p = params_.top_p < 1.0f;
  if (!cut_k && !cut_p && params_.min_p == 0.0f) return candidates_.size();

  size_t n_sorted = cut_k ? sort_best(0, static_cast<size_t>(params_.top_k), candidates_.size()) : 0;
  size_t n = cut_k ? n_sorted : candidates_.size();
  double enough = std::numeric_limits<double>::infinity();
  if (cut_p) {
    enough = 0;
    for (size_t i = 0; i < n; ++i) enough += candidates_[i].weight;
    enough *= params_.top_p;
  }
  // min_p compares with the best weight alone, so what it removes need not be sorted. The best has 1 and
  // stays.
  const auto end = std::partition(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(n),
                                  [&](const Candidate& c) { return c.weight >= params_.min_p; });
  n = static_cast<size_t>(end - candidates_.begin());
  // The few that top_p keeps are found by sorting the best of the vocabulary in growing pieces.
  constexpr size_t kFirstPiece = 64;
  double sum = 0;
  size_t kept = 0;
  while (kept < n && (kept == 0 || sum < enough)) {
    if (kept >= n_sorted) n_sorted = sort_best(n_sorted, std::min(n, std::max(kFirstPiece, 4 * n_sorted)), n);
    sum += candidates_[kept++].weight;
  }
  return kept;
}

// Brings the best of candidates_[begin, n) in order to [begin, end); returns end.
size_t Sampler::sort_best(size_t begin, size_t end, size_t n) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  const auto at = [&](size_t i) { return candidates_.begin() + static_cast<std::ptrdiff_t>(i); };
  if (end < n) std::nth_element(at(begin), at(end), at(n), better);
  std::sort(at(begin), at(end), better);
  return end;
}

// One of the first n candidates, by its weight. Written out because the standard's distributions differ
// between libraries.
int32_t Sampler::draw(size_t n) {
  double total = 0;
  for (size_t i = 0; i < n; ++i) total += candidates_[i].weight;
  const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;  // [0, 1)
  double left = uniform * total;
  for (size_t i = 0; i + 1 < n; ++i) {
    left -= candidates_[i].weight;
    if (left < 0) return candidates_[i].id;
  }
  return candidates_[n - 1].id;
}

}  // namespace lectern
