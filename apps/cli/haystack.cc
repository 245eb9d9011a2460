#include "apps/cli/haystack.h"

#include <cmath>

#include "apps/cli/prose.h"
#include "base/ascii.h"

namespace lectern {
namespace {

constexpr std::string_view kTask = "A pass key is hidden in the text below. Find it and remember it.\n\n";
constexpr std::string_view kQuestion = "What is the pass key?";
constexpr std::string_view kForm = " Answer with its five digits.";

}  // namespace

Haystack::Haystack(const TokenCount& count, int n_tokens, uint32_t seed) {
  Prose prose(seed);
  pass_key_ = std::to_string(10000 + prose.below(90000));
  const std::string around =
      std::string(kTask) + needle() + "\n\n" + std::string(kQuestion) + std::string(kForm);
  int left = n_tokens - count(around);
  while (true) {
    std::string sentence = prose.sentence();
    left -= count(" " + sentence);
    if (left < 0) break;
    sentences_.push_back(std::move(sentence));
  }
}

size_t Haystack::place(double depth) const {
  return static_cast<size_t>(std::lround(depth * static_cast<double>(sentences_.size())));
}

std::string Haystack::text(double depth) const {
  std::string text;
  const auto add = [&text](const std::string& sentence) {
    if (!text.empty()) text += " ";
    text += sentence;
  };
  for (size_t i = 0; i < sentences_.size(); ++i) {
    if (i == place(depth)) add(needle());
    add(sentences_[i]);
  }
  if (place(depth) == sentences_.size()) add(needle());
  return text;
}

std::string Haystack::prompt(double depth) const {
  return std::string(kTask) + text(depth) + "\n\n" + std::string(kQuestion) + std::string(kForm);
}

std::string_view Haystack::question() {
  return kQuestion;
}

bool Haystack::is_found(std::string_view reply) const {
  bool found = false;
  for (size_t begin = 0; begin < reply.size();) {
    size_t end = begin;
    while (end < reply.size() && is_ascii_digit(reply[end])) ++end;
    if (end > begin && reply.substr(begin, end - begin) != pass_key_) return false;
    found |= end > begin;
    begin = end + 1;
  }
  return found;
}

}  // namespace lectern
