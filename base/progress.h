// How long work tells its caller how far it is. Library code calls back; only apps/ print.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/cancel.h"

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

// Calls `progress`, which may be empty, and throws Error(kCancelled) when `cancel` is: for work that takes no
// token and ends with what its caller throws.
inline ProgressFn cancellable(ProgressFn progress, CancelToken cancel) {
  return [progress = std::move(progress), cancel = std::move(cancel)](const Progress& done) {
    cancel.throw_if_cancelled();
    if (progress) progress(done);
  };
}

}  // namespace lectern
