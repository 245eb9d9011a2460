#include "base/error.h"

namespace lectern {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kResourceExhausted:
      return "resource exhausted";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kIo:
      return "input/output";
  }
  return "unknown";
}

namespace internal {

void check_failed(const char* condition, const char* file, int line) {
  throw std::logic_error(std::string("bug in Lectern: ") + condition + " does not hold (" + file + ":" +
                         std::to_string(line) + "); please report it");
}

}  // namespace internal
}  // namespace lectern
