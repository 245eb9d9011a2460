// The course of a measurement: one part (a question, a prompt) after another, until all are done, Ctrl-C ends
// it or a part fails. What was measured until then counts: it is printed, and says so.
#pragma once

#include <functional>
#include <string>

#include "apps/cli/command.h"

namespace lectern::cli {

class Measurement {
 public:
  explicit Measurement(Program& program) : program_(program) {}

  // Does the next part. False where the measurement ends here: interrupted, or failed. Throws what the first
  // part fails with, since nothing is measured then.
  bool part(const std::function<void()>& work);

  // All of `items`, with a progress line that begins with `phase`.
  template <typename Items, typename Work>
  void each(const std::string& phase, const Items& items, const Work& work) {
    uint64_t n = 0;
    for (const auto& item : items) {
      program_.output().progress()({phase, "", n++, items.size(), 0, 0});
      if (!part([&] { work(item); })) break;
    }
    program_.end_progress();
  }

  // Adds "interrupted" or "failed" to the result of a measurement that ended early.
  void mark(Json& result) const;
  // Says on stderr what failed. Returns the exit code.
  int end() const;
  // All three: marks the result, prints it and ends.
  int print(Json result) const;

 private:
  Program& program_;
  bool any_ = false, interrupted_ = false;
  std::string failure_;
};

}  // namespace lectern::cli
