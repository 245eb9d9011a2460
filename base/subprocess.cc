#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_descriptor.h"

namespace lectern {
namespace {

constexpr size_t kMaxStderrBytes = 64 << 10;
constexpr int kPollMilliseconds = 50;

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  while (true) {
    const size_t colon = rest.find(':');
    const std::string folder = rest.substr(0, colon);
    std::string candidate = folder;
    candidate.append("/").append(name);
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    if (colon == std::string::npos) break;
    rest.erase(0, colon + 1);
  }
  throw Error(ErrorCode::kNotFound, name + ": no such program in PATH");
}

struct Pipe {
  FileDescriptor read_end{-1}, write_end{-1};
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0)
      throw Error(ErrorCode::kIo, std::string("cannot make a pipe: ") + std::strerror(errno));
    read_end.fd = fds[0];
    write_end.fd = fds[1];
  }
  void close_write_end() {
    ::close(write_end.fd);
    write_end.fd = -1;
  }
};

// After fork, before exec: async-signal-safe calls only.
[[noreturn]] void run_child(const char* program, char* const* argv, int in, int out, int err,
                            uint64_t max_memory_bytes, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  if (max_memory_bytes > 0) {
    struct rlimit limit {};
    limit.rlim_cur = limit.rlim_max = max_memory_bytes;
    ::setrlimit(RLIMIT_AS, &limit);
  }
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &by_default, nullptr);
  ::sigaction(SIGINT, &by_default, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(program, argv);
  ::_exit(127);
}

// The child's process, killed and reaped however we leave.
struct Child {
  pid_t pid;
  bool reaped = false;

  explicit Child(pid_t id) : pid(id) {}
  ~Child() {
    if (reaped) return;
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int wait() {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    reaped = true;
    return status;
  }
};

// Appends what is there; false at the end of the stream.
bool drain(int fd, std::string& out) {
  char buffer[1 << 16];
  const ssize_t n = ::read(fd, buffer, sizeof(buffer));
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  out.append(buffer, static_cast<size_t>(n));
  return n > 0;
}

}  // namespace

SubprocessResult run_subprocess(std::span<const std::string> argv, const SubprocessOptions& options,
                                const CancelToken& cancel) {
  LECTERN_CHECK(!argv.empty());
  const std::string program = find_program(argv[0]);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  const FileDescriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Pipe out, err;
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw Error(ErrorCode::kIo, "cannot start " + program + ": " + std::strerror(errno));
  if (pid == 0) {
    run_child(program.c_str(), arguments.data(), null.fd, out.write_end.fd, err.write_end.fd,
              options.max_memory_bytes, parent);
  }
  Child child(pid);
  out.close_write_end();
  err.close_write_end();

  SubprocessResult result;
  const Stopwatch watch;
  pollfd streams[2] = {{out.read_end.fd, POLLIN, 0}, {err.read_end.fd, POLLIN, 0}};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    cancel.throw_if_cancelled();
    if (options.max_seconds > 0 && watch.seconds() > options.max_seconds) {
      throw Error(ErrorCode::kResourceExhausted, argv[0] + " took longer than " +
                                                     std::to_string(static_cast<int>(options.max_seconds)) +
                                                     " seconds");
    }
    if (::poll(streams, 2, kPollMilliseconds) <= 0) continue;
    if (streams[0].revents != 0 && !drain(streams[0].fd, result.out)) streams[0].fd = -1;
    if (streams[1].revents != 0 && !drain(streams[1].fd, result.err)) streams[1].fd = -1;
    if (result.out.size() > options.max_output_bytes) {
      throw Error(ErrorCode::kResourceExhausted,
                  argv[0] + " wrote more than " + std::to_string(options.max_output_bytes) + " bytes");
    }
    if (result.err.size() > kMaxStderrBytes) result.err.erase(0, result.err.size() - kMaxStderrBytes);
  }
  const int status = child.wait();
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return result;
}

}  // namespace lectern
