// One line on a terminal that shows how far long work is, how fast it goes, and how long it will still take.
// Thread-safe: the working thread shows, the main thread clears.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "base/progress.h"

namespace lectern::cli {

class ProgressBar {
 public:
  explicit ProgressBar(int fd) : fd_(fd) {}

  void show(const Progress& progress);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  int fd_;
  std::mutex mutex_;
  bool visible_ = false;
  std::string stage_;
  uint64_t first_bytes_ = 0,
           first_items_ = 0;  // where the stage began: a resumed download does not begin at 0
  double first_work_ = 0;
  Clock::time_point stage_start_, last_drawn_;
};

// The line itself, at most `width` columns; `seconds` since the stage began at `first_*`. For tests.
std::string progress_line(const Progress& progress, uint64_t first_items, uint64_t first_bytes,
                          double seconds, int width, double first_work = 0);

}  // namespace lectern::cli
