// What can fail outside the program (files, network, model data, user input) is reported by throwing Error.
// The message names the file, the offset or field, and what to do about it. Errors are caught at four walls
// only: the C ABI, an HTTP route, the CLI's main, and a thread-pool task. Library code never prints or exits.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace lectern {

enum class ErrorCode {
  kInvalidArgument,    // the caller asked for something that makes no sense
  kNotFound,           // a file, model or passage is not there
  kCorrupt,            // data does not follow its own format
  kUnsupported,        // well-formed, but nothing here can read it
  kResourceExhausted,  // memory, disk, context window or time ran out
  kCancelled,          // the caller's CancelToken was set
  kUnavailable,        // a network source or device cannot be reached
  kIo,                 // the operating system refused a file operation
};

std::string_view to_string(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

namespace internal {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace internal

}  // namespace lectern

// For bugs of ours, in every build; never on outside data. Throws std::logic_error, so that a host program
// survives our mistake.
#define LECTERN_CHECK(condition)                                                         \
  do {                                                                                   \
    if (!(condition)) ::lectern::internal::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
