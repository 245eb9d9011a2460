// The protocol over two streams, one message a line: requests are read on the calling thread, and each call
// of a tool runs on a thread of its own, so that a slow one keeps nobody waiting.
#pragma once

#include <functional>

#include "apps/mcp/protocol.h"

namespace lectern::mcp {

struct StdioLimits {
  size_t max_line_bytes = 1 << 20;  // a longer line is answered by an error and skipped
  size_t max_calls = 32;            // of tools at a time; one more is refused
};

// Serves until the input ends, the output is closed or `stop` is set; then cancels the calls that run and
// waits for them (what they have finished is still written). `tick` is called about once a second.
void serve_stdio(const Protocol& protocol, int input, int output, const StdioLimits& limits,
                 const CancelToken& stop, const std::function<void()>& tick);

}  // namespace lectern::mcp
