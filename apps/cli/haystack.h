// A pass key hidden in made-up running text, at any depth. Texts of one seed begin alike whatever their
// length, up to their needles: what the engine has read of one it need not read again of the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

class Haystack {
 public:
  using TokenCount = std::function<int(std::string_view)>;

  // Its prompts have n_tokens tokens at most, and fewer by less than a sentence.
  Haystack(const TokenCount& count, int n_tokens, uint32_t seed);

  const std::string& pass_key() const { return pass_key_; }  // five digits
  // Sentences before the needle. depth 0: it comes first, 1: last.
  size_t place(double depth) const;
  std::string text(double depth) const;
  // The text between what is asked and the question.
  std::string prompt(double depth) const;
  static std::string_view question();

  // Whether the reply gives the pass key: as a number of its own, and no other number.
  bool is_found(std::string_view reply) const;

 private:
  std::string needle() const { return "The pass key is " + pass_key_ + ". Remember it."; }

  std::string pass_key_;
  std::vector<std::string> sentences_;
};

}  // namespace lectern
