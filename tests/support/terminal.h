// A program on a terminal of its own, as a person has it: what it shows is collected, keys are sent.
#pragma once

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "base/clock.h"

namespace lectern {

inline constexpr const char* kCtrlC = "\x03";
inline constexpr const char* kCtrlD = "\x04";

class Terminal {
 public:
  // A chroot may have none.
  static bool available() {
    int controller = -1, terminal = -1;
    if (::openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) return false;
    ::close(controller);
    ::close(terminal);
    return true;
  }

  explicit Terminal(const std::vector<std::string>& arguments) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = ::forkpty(&fd_, nullptr, nullptr, nullptr);
    if (pid_ < 0) throw std::runtime_error("forkpty failed");
    if (pid_ == 0) {
      ::setenv("TERM", "xterm", 1);
      ::execv(argv[0], argv.data());
      ::_exit(126);
    }
  }
  ~Terminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(fd_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void send(const std::string& keys) {
    if (::write(fd_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size()))
      throw std::runtime_error("the terminal takes no keys");
  }

  // Collects until `text` was shown after what was waited for before; false when it does not come.
  bool wait_for(const std::string& text, double seconds = 120) {
    const Stopwatch watch;
    while (true) {
      if (const size_t found = shown_.find(text, seen_); found != std::string::npos) {
        seen_ = found + text.size();
        return true;
      }
      if (watch.seconds() > seconds || !collect()) return false;
    }
  }

  // The exit code, -1 for a program that a signal ended or that does not end.
  int wait_for_end(double seconds = 60) {
    const Stopwatch watch;
    while (watch.seconds() < seconds && collect()) continue;
    int status = 0;
    while (watch.seconds() < seconds) {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      }
      ::usleep(20'000);
    }
    return -1;
  }

  const std::string& shown() const { return shown_; }

 private:
  // False once the program has closed the terminal.
  bool collect() {
    pollfd watched{fd_, POLLIN, 0};
    if (::poll(&watched, 1, 50) <= 0) return true;
    char buffer[1 << 14];
    const ssize_t n = ::read(fd_, buffer, sizeof(buffer));
    if (n <= 0) return false;
    shown_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string shown_;
  size_t seen_ = 0;
};

}  // namespace lectern
