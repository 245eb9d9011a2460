// How a call is stopped: by its callbacks and by the lectern_cancel that its options name. A lectern_cancel
// may stop several calls, and a callback stops only its own, so each call has a token of its own.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "agent/trace.h"
#include "base/cancel.h"
#include "base/progress.h"
#include "include/lectern.h"

namespace lectern::capi {

// The calls that one lectern_cancel stops. Thread-safe; outlives the handle as long as a call runs.
class CancelGroup {
 public:
  void cancel();
  bool cancelled() const;
  void add(const CancelToken& call);
  void remove(const CancelToken& call);

 private:
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::vector<const CancelToken*> calls_;
};

// Lives on the stack of one call.
class Stop {
 public:
  explicit Stop(const lectern_cancel* cancel);
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  const CancelToken& token() const { return token_; }

  // Each tells the caller, if there is a callback, and takes its answer. Keep a reference to this object.
  ProgressFn progress(lectern_progress_fn callback, void* user_data) const;
  void step(lectern_step_fn callback, const TraceStep& step, void* user_data) const;
  // false: stop.
  bool text(lectern_text_fn callback, std::string_view text, void* user_data) const;

 private:
  CancelToken token_;
  std::shared_ptr<CancelGroup> group_;  // null: nobody else stops the call
};

}  // namespace lectern::capi

struct lectern_cancel {
  std::shared_ptr<lectern::capi::CancelGroup> group = std::make_shared<lectern::capi::CancelGroup>();
};
