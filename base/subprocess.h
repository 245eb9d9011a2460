// Runs another program without a shell, with limits, and collects what it writes. Thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/cancel.h"

namespace lectern {

struct SubprocessOptions {
  double max_seconds = 0;                         // 0: no limit; counts wall time
  uint64_t max_output_bytes = uint64_t{1} << 20;  // of stdout; of stderr only the end is kept
  uint64_t max_memory_bytes = 0;                  // 0: no limit; address space
};

struct SubprocessResult {
  int exit_code = 0;  // -1 when a signal ended it
  int signal = 0;     // 0: it ended by itself
  std::string out;
  std::string err;
};

// argv[0] is looked up in PATH. The child reads nothing (stdin is /dev/null), dies with us, and is killed
// with its whole process group when a limit is reached or `cancel` is set. Throws Error: kNotFound when there
// is no such program, kResourceExhausted for time and output, kCancelled. A non-zero exit is a result, not an
// Error.
SubprocessResult run_subprocess(std::span<const std::string> argv, const SubprocessOptions& options,
                                const CancelToken& cancel);

}  // namespace lectern
