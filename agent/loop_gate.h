// Keeps from the answer what a small model says over and over: text that it said before, clause by clause, is
// held back until it is clear whether the reply goes on or goes round. What is let through is never taken
// back. One reply, one thread.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace lectern {

class LoopGate {
 public:
  // What may be passed on now.
  std::string feed(std::string_view piece);
  // The rest, when the reply ends. `truncated`: at its limit of tokens, where a repetition is the beginning
  // of a loop.
  std::string finish(bool truncated);
  // The reply goes round: nothing more will come through.
  bool looping() const { return looping_; }

 private:
  bool repeats(std::string_view words) const;  // a clause said before begins with these
  void end_clause(std::string_view clause);

  std::set<std::string> said_;  // clauses, as clause_words() has them
  std::string clause_;          // the one at hand, from its beginning
  size_t passed_ = 0;           // bytes of it that were let through
  std::string held_;            // clauses said before, in a row
  int n_held_ = 0;
  bool in_fence_ = false;  // code repeats its lines
  bool looping_ = false;
};

}  // namespace lectern
