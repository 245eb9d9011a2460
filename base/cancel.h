// A flag that asks long work to stop. Copies share the flag; any thread may set or read it, also a signal
// handler.
#pragma once

#include <atomic>
#include <memory>

#include "base/error.h"

namespace lectern {

class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}

  void cancel() const noexcept { flag_->store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return flag_->load(std::memory_order_relaxed); }
  void throw_if_cancelled() const {
    if (cancelled()) throw Error(ErrorCode::kCancelled, "cancelled");
  }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

}  // namespace lectern
