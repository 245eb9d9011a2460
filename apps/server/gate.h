// The front door. One thread and epoll: connections are read with limits of size and time, and only a whole,
// permitted request goes on, over a private UNIX socket, to the HTTP library, whose threads therefore never
// wait for a slow client. The reply is copied back, and the connection closes after it.
//
// Why: Debian's cpp-httplib reads lines and chunks without limit, and has one thread a connection
// (docs/server.md, "The gate").
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apps/server/access.h"
#include "base/cancel.h"
#include "base/file_descriptor.h"

namespace lectern::server {

struct GateLimits {
  size_t max_connections = 4096;       // one more ends the oldest that has not sent its request yet
  size_t max_in_flight = 64;           // requests that are being answered
  size_t max_queued = 128;             // whole requests that wait; one more gets 503
  uint64_t max_body_bytes = 32 << 20;  // of one request, and of all together:
  uint64_t max_all_body_bytes = 256 << 20;
  double head_seconds = 10;   // for the whole head
  double body_seconds = 60;   // for the whole body
  double queue_seconds = 30;  // then 503
  double write_seconds = 60;  // a client that reads nothing for so long has left
};

struct Listening {
  std::string host = "127.0.0.1";
  int port = 8642;                  // 0: a free one
  std::filesystem::path unix_path;  // not empty: this instead
};

// A request on its way, as its handler sees it.
struct Ticket {
  CancelToken cancel;  // set when the client has left
  std::chrono::steady_clock::time_point arrival;
};

struct GateCounts {
  uint64_t accepted = 0, forwarded = 0, refused = 0;
  size_t connections = 0, in_flight = 0, queued = 0;
};

class Gate {
 public:
  // Binds and listens; throws Error that names the address. `inner`: where the HTTP library listens.
  Gate(const Listening& listening, AccessRules rules, GateLimits limits, std::filesystem::path inner);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  int port() const { return port_; }  // 0: a UNIX socket

  // Until `stop` is set; then every request on its way is cancelled and its connection closed.
  void run(const CancelToken& stop);

  // Of the request that carries this id in kRequestIdHeader; none: it did not come through here. Any thread.
  std::optional<Ticket> ticket(const std::string& id) const;
  GateCounts counts() const;  // any thread

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection;
  struct Endpoint {  // what an event belongs to
    Connection* connection;
    bool inner;
  };

  void accept_all();
  void on_client(Connection& c, uint32_t events);
  void on_inner(Connection& c, uint32_t events);
  void read_client(Connection& c);
  void take_input(Connection& c);
  void queue(Connection& c);
  void start_queued();
  bool connect_inner(Connection& c);
  void write_inner(Connection& c);
  void read_inner(Connection& c);
  void write_client(Connection& c);
  void refuse(Connection& c, const Refusal& refusal);
  void client_left(Connection& c);
  void hang_up(int fd);
  void end_inner(Connection& c);
  void close(Connection& c);
  void watch(Connection& c);
  void check_deadlines();
  bool end_oldest_reader();
  void publish_counts();

  GateLimits limits_;
  AccessRules rules_;
  std::filesystem::path inner_, unix_path_;
  int port_ = 0;
  FileDescriptor listener_{-1}, epoll_{-1};
  Endpoint listening_{nullptr, false};
  std::map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;  // until the events at hand are dealt with
  std::deque<Connection*> queue_;
  size_t in_flight_ = 0;
  uint64_t body_bytes_ = 0;  // announced by the requests that are here
  GateCounts tally_;         // of the gate's thread

  mutable std::mutex mutex_;  // of what handlers ask about
  std::map<std::string, Ticket> tickets_;
  GateCounts counts_;
};

}  // namespace lectern::server
