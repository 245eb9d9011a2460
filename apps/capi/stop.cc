#include "apps/capi/stop.h"

#include <string>

#include "apps/capi/guarded.h"

namespace lectern::capi {

void CancelGroup::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (const CancelToken* call : calls_) call->cancel();
}

bool CancelGroup::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void CancelGroup::add(const CancelToken& call) {
  const std::lock_guard lock(mutex_);
  calls_.push_back(&call);
  if (cancelled_) call.cancel();
}

void CancelGroup::remove(const CancelToken& call) {
  const std::lock_guard lock(mutex_);
  std::erase(calls_, &call);
}

Stop::Stop(const lectern_cancel* cancel) : group_(cancel != nullptr ? cancel->group : nullptr) {
  if (group_ != nullptr) group_->add(token_);
}

Stop::~Stop() {
  if (group_ != nullptr) group_->remove(token_);
}

ProgressFn Stop::progress(lectern_progress_fn callback, void* user_data) const {
  if (callback == nullptr) return {};
  return [this, callback, user_data](const Progress& state) {
    const lectern_progress shown{state.stage.c_str(), state.item.c_str(), state.items_done,
                                 state.items_total,   state.bytes_done,   state.bytes_total};
    if (callback(&shown, user_data) != 0) token_.cancel();
  };
}

void Stop::step(lectern_step_fn callback, const TraceStep& step, void* user_data) const {
  if (callback == nullptr) return;
  const lectern_step shown{step.kind.c_str(), step.detail.c_str(), step.seconds, step.prompt_tokens,
                           step.new_tokens};
  if (callback(&shown, user_data) != 0) token_.cancel();
}

bool Stop::text(lectern_text_fn callback, std::string_view text, void* user_data) const {
  if (callback != nullptr && !text.empty()) {
    const std::string terminated(text);  // a view need not end with a NUL
    if (callback(terminated.c_str(), terminated.size(), user_data) != 0) token_.cancel();
  }
  return !token_.cancelled();
}

}  // namespace lectern::capi

using lectern::capi::guarded_into;

int lectern_cancel_create(lectern_cancel** out) {
  return guarded_into(out, [] { return new lectern_cancel; });
}

void lectern_cancel_set(lectern_cancel* cancel) {
  if (cancel != nullptr) cancel->group->cancel();
}

int lectern_cancel_is_set(const lectern_cancel* cancel) {
  return cancel != nullptr && cancel->group->cancelled() ? 1 : 0;
}

void lectern_cancel_free(lectern_cancel* cancel) {
  delete cancel;
}
