#include "apps/server/listener.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

namespace lectern::server {
namespace {

constexpr int kBacklog = 512;

[[noreturn]] void fail(const std::string& address, const std::string& why) {
  throw Error(ErrorCode::kUnavailable, address + ": cannot listen here: " + why);
}

int open_unix(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path.string();
  if (name.size() >= sizeof(address.sun_path)) fail(name, "the path is too long for a socket");
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);

  struct stat status {};
  if (::lstat(name.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) fail(name, "a file of that name is there");
    const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.fd, generic, sizeof(address)) == 0 || errno != ECONNREFUSED)
      fail(name, "another server listens there");
    ::unlink(name.c_str());
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail(name, std::strerror(errno));
  const mode_t mask = ::umask(0177);
  const int bound = ::bind(fd, generic, sizeof(address));
  ::umask(mask);
  if (bound != 0 || ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    fail(name, std::strerror(error));
  }
  return fd;
}

int open_tcp(const std::string& host, int wanted, int& port) {
  const std::string where = host + ":" + std::to_string(wanted);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(wanted).c_str(), &hints, &found))
    fail(where, ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail(where, std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));  // a restart need not wait; no port is shared
  if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    fail(where, error == EADDRINUSE ? "another program listens there; choose another with --port"
                                    : std::strerror(error));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  return fd;
}

}  // namespace

int open_listener(const Listening& listening, int& port) {
  port = 0;
  return listening.unix_path.empty() ? open_tcp(listening.host, listening.port, port)
                                     : open_unix(listening.unix_path);
}

void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace lectern::server
