// How long work tells its caller how far it is. Library code calls back; only apps/ print.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lectern {

struct Progress {
  std::string stage;         // "reading", "downloading", ...
  std::string item;          // the file or model at hand, may be empty
  uint64_t items_done = 0;   // files, chunks
  uint64_t items_total = 0;  // 0: not known yet
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;  // 0: not known
  // Share of the work that is done, where the items do not take equally long; below 0: that of the items.
  double work_done = -1;
};

// Called from the thread that does the work, at most a few dozen times a second.
using ProgressFn = std::function<void(const Progress&)>;

}  // namespace lectern
