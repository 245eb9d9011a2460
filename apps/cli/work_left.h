// How long a measurement of unequal parts will still take: by the work that its parts are known to be.
#pragma once

#include <string>

#include "apps/cli/output.h"
#include "base/clock.h"

namespace lectern::cli {

class WorkLeft {
 public:
  explicit WorkLeft(double total) : left_(total) {}

  void did(double work) {
    done_ += work;
    left_ -= work;
  }
  // ", about 2:05 min left", or "" at the end.
  std::string text() const {
    if (left_ < 1e-9 * done_ || done_ <= 0) return "";
    return ", about " + format_seconds(time_.seconds() * left_ / done_) + " left";
  }

 private:
  Stopwatch time_;
  double done_ = 0, left_;
};

}  // namespace lectern::cli
