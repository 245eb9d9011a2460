#include "engine/prompt_lookup.h"

#include <algorithm>

namespace lectern {
namespace {

constexpr size_t kMinMatch = 2, kMaxMatch = 16;

}  // namespace

std::span<const int32_t> look_up_draft(std::span<const int32_t> tokens, size_t max_tokens) {
  size_t longest = kMinMatch - 1, after = tokens.size();
  if (max_tokens == 0 || tokens.size() <= kMinMatch) return {};
  for (size_t end = tokens.size() - 1; end > longest; --end) {
    // Tokens before `end` against those before the end of all.
    size_t n = 0;
    while (n < std::min(end, kMaxMatch) && tokens[end - 1 - n] == tokens[tokens.size() - 1 - n]) ++n;
    if (n <= longest) continue;
    longest = n;
    after = end;
    if (n == kMaxMatch) break;
  }
  const auto rest = tokens.subspan(after);
  return rest.first(std::min(rest.size(), max_tokens));
}

void DraftLength::learn(size_t guessed, size_t accepted) {
  const bool all = accepted == guessed;
  now_ = std::clamp(all ? now_ + 2 : static_cast<int>(accepted) + 1, std::min(2, most_), most_);
}

}  // namespace lectern
