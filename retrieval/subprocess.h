// Runs a program on a hostile file: without a shell, with limits on processor time, memory, output and wall
// time, and nothing of ours open but its output. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/cancel.h"

namespace lectern {

struct SubprocessLimits {
  int max_seconds = 60;  // of wall time, and of processor time
  uint64_t max_memory_bytes = uint64_t{2} << 30;
  uint64_t max_output_bytes = uint64_t{256} << 20;
};

struct SubprocessResult {
  // How it ended: by itself with `exit_code`, by a signal of the system (memory, processor time, its own
  // crash), or stopped by us.
  enum class End { kExited, kSignalled, kTooSlow, kTooMuchOutput } end = End::kExited;
  int exit_code = 0;
  int signal = 0;
  std::string output;  // standard output
  std::string errors;  // the first 4 KB of standard error
};

// The absolute path of a program in PATH, "" when it is not installed.
std::string find_program(const std::string& name);

// `arguments` begin with the program's absolute path. Throws Error(kIo) when it cannot be started, kCancelled
// after stopping it.
SubprocessResult run_subprocess(const std::vector<std::string>& arguments, const SubprocessLimits& limits,
                                const CancelToken& cancel);

}  // namespace lectern
