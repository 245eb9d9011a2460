#include "retrieval/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"

namespace lectern {
namespace {

constexpr size_t kMaxErrorBytes = 4096;
constexpr int kPollMs = 50;
constexpr int kCannotExecute = 126;

// Both ends of a pipe, closed when the object goes.
struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Error(ErrorCode::kIo, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_end(size_t i) {
    if (ends[i] >= 0) ::close(ends[i]);
    ends[i] = -1;
  }
};

void set_limit(int resource, rlim_t value) {
  const rlimit limit{value, value};
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
}

// In the child, between fork and exec: system calls only, since other threads may have held any lock.
[[noreturn]] void become(char* const* arguments, char* const* environment, int out, int err,
                         const SubprocessLimits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) ::_exit(kCannotExecute);
  ::close_range(3, ~0U, 0);
  set_limit(RLIMIT_CPU, static_cast<rlim_t>(limits.max_seconds));
  set_limit(RLIMIT_AS, limits.max_memory_bytes);
  set_limit(RLIMIT_FSIZE, 0);  // it writes to a pipe and nowhere else
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_NOFILE, 64);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(arguments[0], arguments, environment);
  ::_exit(kCannotExecute);
}

// A child that is stopped and collected at the latest when the object goes.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (!collect(status, 0)) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // True once the child has ended.
  bool collect(int& status, int options) {
    const pid_t ended = ::waitpid(pid_, &status, options);
    if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
    pid_ = -1;
    return true;
  }

 private:
  pid_t pid_;
};

// Reads what is there, up to `limit` in all; the rest is dropped. False at the end of the stream.
bool drain(int fd, std::string& into, uint64_t limit, bool& over) {
  std::array<char, 1 << 16> buffer;
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  const uint64_t room = limit - into.size();
  over = over || static_cast<uint64_t>(n) > room;
  into.append(buffer.data(), static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(n), room)));
  return n > 0;
}

}  // namespace

std::string find_program(const std::string& name) {
  const char* variable = std::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "/usr/bin:/bin";
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = path.substr(begin, end - begin) + "/" + name;
    // Only absolute folders: "." in PATH must not run a document's neighbour.
    if (candidate.front() == '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return "";
}

SubprocessResult run_subprocess(const std::vector<std::string>& arguments, const SubprocessLimits& limits,
                                const CancelToken& cancel) {
  LECTERN_CHECK(!arguments.empty());
  // Everything the child needs is made before the fork.
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::array<char, 16> path{"PATH=/usr/bin"}, locale{"LC_ALL=C.UTF-8"};
  const std::array<char*, 3> environment{path.data(), locale.data(), nullptr};
  Pipe out, err;

  const pid_t pid = ::fork();
  if (pid < 0) throw Error(ErrorCode::kIo, arguments[0] + ": cannot be started: " + std::strerror(errno));
  if (pid == 0) become(argv.data(), environment.data(), out.ends[1], err.ends[1], limits);
  Child child(pid);
  out.close_end(1);
  err.close_end(1);

  SubprocessResult result;
  const Stopwatch watch;
  bool over = false, ignored = false;
  int status = 0;
  while (out.ends[0] >= 0 || err.ends[0] >= 0 || !child.collect(status, WNOHANG)) {
    cancel.throw_if_cancelled();
    if (over || watch.seconds() > limits.max_seconds) {
      result.end = over ? SubprocessResult::End::kTooMuchOutput : SubprocessResult::End::kTooSlow;
      return result;  // ~Child stops it
    }
    std::array<pollfd, 2> watched{pollfd{out.ends[0], POLLIN, 0}, pollfd{err.ends[0], POLLIN, 0}};
    if (::poll(watched.data(), watched.size(), kPollMs) <= 0) continue;
    if (watched[0].revents != 0 && !drain(out.ends[0], result.output, limits.max_output_bytes, over))
      out.close_end(0);
    if (watched[1].revents != 0 && !drain(err.ends[0], result.errors, kMaxErrorBytes, ignored))
      err.close_end(0);
  }
  if (WIFSIGNALED(status)) {
    result.end = SubprocessResult::End::kSignalled;
    result.signal = WTERMSIG(status);
  } else {
    result.exit_code = WEXITSTATUS(status);
    if (result.exit_code == kCannotExecute && result.output.empty() && result.errors.empty())
      throw Error(ErrorCode::kIo, arguments[0] + ": cannot be started");
  }
  return result;
}

}  // namespace lectern
