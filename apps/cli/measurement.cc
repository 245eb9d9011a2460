#include "apps/cli/measurement.h"

#include "base/error.h"

namespace lectern::cli {

bool Measurement::part(const std::function<void()>& work) {
  if (interrupted_ || !failure_.empty()) return false;
  try {
    program_.cancel.throw_if_cancelled();
    work();
    any_ = true;
    return true;
  } catch (const Error& error) {
    interrupted_ = error.code() == ErrorCode::kCancelled;
    if (interrupted_) return false;
    if (!any_) throw;
    failure_ = error.what();
    return false;
  }
}

void Measurement::mark(Json& result) const {
  if (interrupted_) result["interrupted"] = true;
  if (!failure_.empty()) result["failed"] = failure_;
}

int Measurement::end() const {
  if (interrupted_) return kExitInterrupted;
  if (failure_.empty()) return kExitFound;
  report_error(/*json=*/false, "", failure_, kExitFailure);
  return kExitFailure;
}

int Measurement::print(Json result) const {
  mark(result);
  program_.output().print_result(result);
  return end();
}

}  // namespace lectern::cli
