#include "agent/language_model.h"

#include <algorithm>
#include <cmath>

namespace lectern {

std::vector<std::vector<double>> LanguageModel::score_choices(std::span<const LmRequest> requests,
                                                              std::span<const std::string> choices,
                                                              const CancelToken& cancel) {
  std::vector<std::vector<double>> out(requests.size());
  for (const std::string& choice : choices) {
    const std::vector<double> means = score(requests, choice, cancel);
    for (size_t r = 0; r < out.size(); ++r) out[r].push_back(means[r] * count_tokens(choice));
  }
  for (std::vector<double>& scores : out) {
    double sum = 0;
    for (const double score : scores) sum += std::exp(score);
    for (double& score : scores) score -= std::log(std::max(sum, 1e-300));
  }
  return out;
}

}  // namespace lectern
