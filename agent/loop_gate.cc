#include "agent/loop_gate.h"

#include <algorithm>
#include <array>

#include "agent/text_terms.h"
#include "base/ascii.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// A refrain is shorter: so many clauses, and bytes, said again in a row are a loop.
constexpr int kLoopClauses = 4;
constexpr size_t kLoopBytes = 240;

constexpr std::array<std::string_view, 13> kClauseEnds = {"\n", ".",  "!",  "?",  ",",  ";", "。",
                                                          "！", "？", "，", "；", "、", "："};

// Bytes after the first mark at or after `from` that ends a clause; npos: none.
size_t clause_end(std::string_view text, size_t from) {
  size_t end = std::string_view::npos;
  for (const std::string_view mark : kClauseEnds) {
    const size_t at = text.find(mark, from);
    if (at != std::string_view::npos) end = std::min(end, at + mark.size());
  }
  return end;
}

// What a clause is compared by: its letters and digits, folded, without the number of a list's item and
// without markers. "3. Leeds [2]\n" is "leeds".
std::string clause_words(std::string_view clause) {
  std::string words;
  for (size_t i = 0; i < clause.size();) {
    size_t digits = i + (clause[i] == '[' ? 1 : 0);
    while (digits < clause.size() && is_ascii_digit(clause[digits])) ++digits;
    const bool unclosed =
        digits == clause.size() && (clause[i] == '[' || (words.empty() && is_ascii_digit(clause[i])));
    const bool marker = clause[i] == '[' && digits > i + 1 && digits < clause.size() && clause[digits] == ']';
    const bool ordinal = words.empty() && digits > i && digits - i <= 3 && digits < clause.size() &&
                         (clause[digits] == '.' || clause[digits] == ')') && is_ascii_digit(clause[i]);
    if (unclosed) break;
    if (marker || ordinal) {
      i = digits + 1;
      continue;
    }
    const utf8::Decoded d = utf8::decode(clause, i);
    if (is_word_character(d.code_point)) utf8::append(words, fold_case(d.code_point));
    i += d.length;
  }
  return words;
}

}  // namespace

bool LoopGate::repeats(std::string_view words) const {
  if (in_fence_) return false;
  const auto next = said_.lower_bound(std::string(words));
  return next != said_.end() && next->starts_with(words);
}

void LoopGate::end_clause(std::string_view clause) {
  if (clause.starts_with("```")) in_fence_ = !in_fence_;
  const std::string words = clause_words(clause);
  if (!in_fence_ && said_.contains(words)) {
    held_ += clause.substr(passed_);
    ++n_held_;
    looping_ = n_held_ >= kLoopClauses && held_.size() >= kLoopBytes;
  } else {
    said_.insert(words);
  }
}

std::string LoopGate::feed(std::string_view piece) {
  std::string out;
  const auto release = [&](std::string_view text) {
    out += held_;
    out += text;
    held_.clear();
    n_held_ = 0;
  };
  size_t from = clause_.size();
  clause_ += piece;
  while (!looping_) {
    const size_t end = clause_end(clause_, from);
    const bool complete = end != std::string::npos;
    const std::string_view clause = std::string_view(clause_).substr(0, complete ? end : clause_.size());
    const std::string words = clause_words(clause);
    if (complete && words.empty()) {  // "12." belongs to what follows
      from = end;
      continue;
    }
    const bool again = passed_ == 0 && (complete ? !in_fence_ && said_.contains(words) : repeats(words));
    if (!again) {
      release(clause.substr(passed_));
      passed_ = clause.size();
    }
    if (!complete) break;
    end_clause(clause);
    clause_.erase(0, end);
    passed_ = from = 0;
  }
  return out;
}

std::string LoopGate::finish(bool truncated) {
  const bool goes_round = looping_ || (truncated && n_held_ > 1);
  std::string rest = goes_round ? std::string() : held_ + clause_.substr(passed_);
  held_.clear();
  clause_.clear();
  passed_ = 0;
  return rest;
}

}  // namespace lectern
