#include "apps/capi/guarded.h"

#include <exception>
#include <new>
#include <string>

#include "base/error.h"

namespace lectern::capi {
namespace {

struct LastError {
  std::string text;
  const char* shown = "";
};
thread_local LastError last_error;

int keep(int status, const char* message) noexcept {
  try {
    last_error.text = message;
    last_error.shown = last_error.text.c_str();
  } catch (...) {
    last_error.shown = "out of memory";
  }
  return status;
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return LECTERN_INVALID_ARGUMENT;
    case ErrorCode::kNotFound:
      return LECTERN_NOT_FOUND;
    case ErrorCode::kCorrupt:
      return LECTERN_CORRUPT;
    case ErrorCode::kUnsupported:
      return LECTERN_UNSUPPORTED;
    case ErrorCode::kResourceExhausted:
      return LECTERN_RESOURCE_EXHAUSTED;
    case ErrorCode::kCancelled:
      return LECTERN_CANCELLED;
    case ErrorCode::kUnavailable:
      return LECTERN_UNAVAILABLE;
    case ErrorCode::kIo:
      return LECTERN_IO;
  }
  return LECTERN_INTERNAL;
}

}  // namespace

int report_current_exception() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return keep(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return keep(LECTERN_RESOURCE_EXHAUSTED,
                "out of memory; close other programs, or use a smaller model or context");
  } catch (const std::exception& error) {
    return keep(LECTERN_INTERNAL, error.what());
  } catch (...) {
    return keep(LECTERN_INTERNAL, "an unknown exception");
  }
}

}  // namespace lectern::capi

using lectern::capi::last_error;

const char* lectern_last_error(void) {
  return last_error.shown;
}

const char* lectern_status_name(int status) {
  switch (status) {
    case LECTERN_OK:
      return "ok";
    case LECTERN_INVALID_ARGUMENT:
      return "invalid argument";
    case LECTERN_NOT_FOUND:
      return "not found";
    case LECTERN_CORRUPT:
      return "corrupt";
    case LECTERN_UNSUPPORTED:
      return "unsupported";
    case LECTERN_RESOURCE_EXHAUSTED:
      return "resource exhausted";
    case LECTERN_CANCELLED:
      return "cancelled";
    case LECTERN_UNAVAILABLE:
      return "unavailable";
    case LECTERN_IO:
      return "input/output";
    case LECTERN_INTERNAL:
      return "internal error";
  }
  return "unknown";
}

const char* lectern_version(void) {
  return LECTERN_VERSION_STRING;
}

int lectern_abi_version(void) {
  return LECTERN_ABI_VERSION;
}
