#include "base/subprocess.h"

#include <csignal>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

SubprocessResult run(std::vector<std::string> argv, SubprocessOptions options = {}) {
  return run_subprocess(argv, options, CancelToken());
}

ErrorCode error_of(std::vector<std::string> argv, SubprocessOptions options, CancelToken cancel = {}) {
  try {
    run_subprocess(argv, options, cancel);
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("no Error was thrown");
  return ErrorCode::kIo;
}

}  // namespace

TEST_CASE("a subprocess's output, errors and exit code come back, and no shell reads its arguments") {
  const SubprocessResult echo = run({"printf", "%s", "$HOME; `ls` \"x\""});
  CHECK(echo.out == "$HOME; `ls` \"x\"");
  CHECK(echo.exit_code == 0);

  const SubprocessResult failing = run({"sh", "-c", "echo out; echo trouble >&2; exit 3"});
  CHECK(failing.out == "out\n");
  CHECK(failing.err == "trouble\n");
  CHECK(failing.exit_code == 3);

  const SubprocessResult killed = run({"sh", "-c", "kill -9 $$"});
  CHECK(killed.signal == SIGKILL);
  CHECK(run({"cat"}).out.empty());  // stdin is empty
}

TEST_CASE("a subprocess is held to its limits, with its children") {
  CHECK(error_of({"lectern-no-such-program"}, {}) == ErrorCode::kNotFound);

  const Stopwatch watch;
  CHECK(error_of({"sh", "-c", "sleep 30 & sleep 30"}, {.max_seconds = 0.2}) == ErrorCode::kResourceExhausted);
  CHECK(error_of({"yes"}, {.max_output_bytes = 1000}) == ErrorCode::kResourceExhausted);
  CancelToken cancel;
  cancel.cancel();
  CHECK(error_of({"sleep", "30"}, {}, cancel) == ErrorCode::kCancelled);
  CHECK(watch.seconds() < 10);
}
