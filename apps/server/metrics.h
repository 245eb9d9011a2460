// Counters of what was answered. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace lectern::server {

class Metrics {
 public:
  void count(int status, double seconds) {
    const std::lock_guard lock(mutex_);
    ++by_status_[status];
    seconds_ += seconds;
  }
  struct Values {
    std::map<int, uint64_t> by_status;
    double seconds = 0;
  };
  Values values() const {
    const std::lock_guard lock(mutex_);
    return {by_status_, seconds_};
  }

 private:
  mutable std::mutex mutex_;
  std::map<int, uint64_t> by_status_;
  double seconds_ = 0;
};

}  // namespace lectern::server
