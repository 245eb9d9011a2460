// Running text made up from a seed: nothing has to be downloaded and no model has seen it. The same seed
// gives the same text everywhere. Not thread-safe; each text has its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace lectern {

class Prose {
 public:
  explicit Prose(uint32_t seed) : random_(seed) {}

  // Without digits and without hyphens, from a few thousand combinations.
  std::string sentence();
  // n different names such as "quiet-lantern"; all beyond 800 are of three words. At most kMaxNames.
  std::vector<std::string> names(size_t n);
  // [0, n); n > 0.
  size_t below(size_t n) { return random_() % n; }
  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

  static constexpr size_t kMaxNames = 16'000;

 private:
  std::mt19937 random_;  // its numbers are the standard's; those of distributions are not
};

}  // namespace lectern
