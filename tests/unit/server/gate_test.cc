// The gate before an inner server that the test plays itself.
#include "apps/server/gate.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::server;

namespace {

// Until the other side ends, or `until` has come.
std::string read_all(int fd, const std::string& until = {}) {
  std::string text;
  char buffer[4096];
  while (until.empty() || text.find(until) == std::string::npos) {
    const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

void send_all(int fd, const std::string& text) {
  REQUIRE(::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

void set_timeout(int fd) {
  const timeval limit{10, 0};  // a test that fails does not hang
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

class House {
 public:
  explicit House(const GateLimits& limits)
      : inner_path_(folder_.path() / "inner"),
        listener_(listen_at(inner_path_)),
        gate_({.host = "127.0.0.1", .port = 0, .unix_path = {}}, AccessRules(), limits, inner_path_),
        thread_([this] { gate_.run(stop_); }) {}
  ~House() {
    stop_.cancel();
    thread_.join();
  }

  Gate& gate() { return gate_; }

  std::unique_ptr<FileDescriptor> connect() const {
    auto client = std::make_unique<FileDescriptor>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(gate_.port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(client->fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    set_timeout(client->fd);
    return client;
  }
  std::unique_ptr<FileDescriptor> ask(const std::string& path) const {
    auto client = connect();
    send_all(client->fd, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return client;
  }

  // The next request that came through, and its connection.
  struct Arrived {
    std::unique_ptr<FileDescriptor> connection;
    std::string text, id;
  };
  Arrived arrived() const {
    Arrived request;
    set_timeout(listener_.fd);
    request.connection =
        std::make_unique<FileDescriptor>(::accept4(listener_.fd, nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(request.connection->fd >= 0);
    set_timeout(request.connection->fd);
    request.text = read_all(request.connection->fd, "\r\n\r\n");
    const std::string name = std::string(kRequestIdHeader) + ": ";
    const size_t at = request.text.find(name);
    REQUIRE(at != std::string::npos);
    request.id = request.text.substr(at + name.size(), 32);
    return request;
  }

 private:
  static int listen_at(const std::filesystem::path& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(fd, 16) == 0);
    return fd;
  }

  TempFolder folder_;
  std::filesystem::path inner_path_;
  FileDescriptor listener_;
  Gate gate_;
  CancelToken stop_;
  std::thread thread_;
};

bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("a request goes through and its reply comes back as it is") {
  House house({});
  const auto client = house.ask("/a?b=c");
  const auto request = house.arrived();
  CHECK(request.text.starts_with("GET /a?b=c HTTP/1.1\r\n"));
  CHECK(house.gate().ticket(request.id).has_value());
  CHECK_FALSE(house.gate().ticket("another").has_value());
  const std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + std::string(300000, 'x');
  std::thread writer([&] {  // no assertion here: they belong to the test's own thread
    for (size_t done = 0; done < reply.size();) {
      const ssize_t n =
          ::send(request.connection->fd, reply.data() + done, reply.size() - done, MSG_NOSIGNAL);
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    ::shutdown(request.connection->fd, SHUT_RDWR);
  });
  CHECK(read_all(client->fd) == reply);
  writer.join();
  CHECK(comes_true([&] { return !house.gate().ticket(request.id).has_value(); }));
}

TEST_CASE("a client that leaves cancels its request and frees its place when the handler ends") {
  House house({});
  auto client = house.ask("/long");
  auto request = house.arrived();
  const auto ticket = house.gate().ticket(request.id);
  REQUIRE(ticket);
  CHECK_FALSE(ticket->cancel.cancelled());
  client.reset();
  CHECK(comes_true([&] { return ticket->cancel.cancelled(); }));
  CHECK(read_all(request.connection->fd).empty());  // the handler sees the end of its input
  CHECK(comes_true([&] { return house.gate().counts().in_flight == 1; }));
  request.connection.reset();
  CHECK(comes_true([&] { return house.gate().counts().in_flight == 0; }));
}

TEST_CASE("beyond the queue there is 503 with Retry-After, and who waited gets a turn") {
  GateLimits limits;
  limits.max_in_flight = 1;
  limits.max_queued = 1;
  House house(limits);
  const auto first = house.ask("/first");
  auto request = house.arrived();
  const auto second = house.ask("/second");
  REQUIRE(comes_true([&] { return house.gate().counts().queued == 1; }));
  const auto third = house.ask("/third");
  const std::string refused = read_all(third->fd);
  CHECK(refused.starts_with("HTTP/1.1 503 "));
  CHECK(refused.find("\r\nRetry-After: 1\r\n") != std::string::npos);
  send_all(request.connection->fd, "HTTP/1.1 200 OK\r\n\r\n");
  request.connection.reset();
  CHECK(house.arrived().text.starts_with("GET /second "));
}

TEST_CASE("who waits too long for a turn gets 503, and one that left waits no more") {
  GateLimits limits;
  limits.max_in_flight = 1;
  limits.queue_seconds = 0.3;
  House house(limits);
  const auto first = house.ask("/first");
  const auto request = house.arrived();
  auto left = house.ask("/left");
  REQUIRE(comes_true([&] { return house.gate().counts().queued == 1; }));
  left.reset();
  CHECK(comes_true([&] { return house.gate().counts().queued == 0; }));
  const auto second = house.ask("/second");
  CHECK(read_all(second->fd).starts_with("HTTP/1.1 503 "));
}

TEST_CASE("heads and bodies that do not come get 408, silent connections are closed") {
  GateLimits limits;
  limits.head_seconds = 0.2;
  limits.body_seconds = 0.2;
  House house(limits);
  const auto silent = house.connect(), slow = house.connect(), bodiless = house.connect();
  send_all(slow->fd, "GET / HT");
  send_all(
      bodiless->fd,
      "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{");
  CHECK(read_all(silent->fd).empty());
  CHECK(read_all(slow->fd).starts_with("HTTP/1.1 408 "));
  CHECK(read_all(bodiless->fd).starts_with("HTTP/1.1 408 "));
}

TEST_CASE("bodies are bounded one by one and together") {
  GateLimits limits;
  limits.max_body_bytes = 1000;
  limits.max_all_body_bytes = 1500;
  House house(limits);
  const auto announce = [&](int n) {
    auto client = house.connect();
    send_all(client->fd,
             "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                 std::to_string(n) + "\r\n\r\n");
    return client;
  };
  CHECK(read_all(announce(1001)->fd).starts_with("HTTP/1.1 413 "));
  auto first = announce(1000);
  REQUIRE(comes_true([&] { return house.gate().counts().connections >= 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(read_all(announce(1000)->fd).starts_with("HTTP/1.1 503 "));
  first.reset();
  CHECK(comes_true([&] {
    const auto client = announce(900);
    send_all(client->fd, std::string(900, ' '));
    return house.gate().counts().forwarded > 0;
  }));
}

TEST_CASE("an inner server that says nothing is a 502") {
  House house({});
  const auto client = house.ask("/");
  house.arrived();  // and gone
  CHECK(read_all(client->fd).starts_with("HTTP/1.1 502 "));
}

TEST_CASE("when there are too many connections the oldest silent one goes") {
  GateLimits limits;
  limits.max_connections = 3;
  House house(limits);
  const auto oldest = house.connect();
  REQUIRE(comes_true([&] { return house.gate().counts().connections == 1; }));
  const auto second = house.connect(), third = house.connect();
  REQUIRE(comes_true([&] { return house.gate().counts().connections == 3; }));
  const auto fourth = house.ask("/fourth");
  CHECK(read_all(oldest->fd).empty());
  CHECK(house.arrived().text.starts_with("GET /fourth "));
}

TEST_CASE("what a client sends after its request is not another request") {
  House house({});
  const auto client = house.connect();
  send_all(
      client->fd,
      "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
      "{}GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto request = house.arrived();
  std::string text = request.text;
  if (!text.ends_with("{}")) text += read_all(request.connection->fd, "{}");
  CHECK(text.ends_with("\r\n\r\n{}"));
}
