#include "apps/server/gate.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "apps/server/listener.h"
#include "base/error.h"

namespace lectern::server {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMaxReplyBuffered = 256 << 10;  // more of a reply waits until the client has read
constexpr int kTickMilliseconds = 100;
constexpr double kDrainSeconds = 2;

// 128 random bits: who does not know one cannot speak to the inner server as if the request had come through.
std::string new_id() {
  static std::random_device random;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string id;
  for (int word = 0; word < 4; ++word)
    for (auto [value, i] = std::pair{random(), 0}; i < 8; ++i, value >>= 4) id += kDigits[value & 15];
  return id;
}

}  // namespace

struct Gate::Connection {
  enum class Stage {
    kHead,
    kBody,
    kQueued,
    kForwarding,  // the handler is at work, or its reply is being copied
    kRefusing,    // a reply of our own is being written
    kDraining,    // it is written; what still comes is thrown away, or the client might not see it
  };

  explicit Connection(int fd) : client(fd), at_client{this, false}, at_inner{this, true} {}
  bool has_room() const { return out.size() - out_done < kMaxReplyBuffered; }

  int client, inner = -1;
  Stage stage = Stage::kHead;
  std::string in;       // from the client: head and body
  size_t searched = 0;  // for the end of the head
  Head head;
  std::string to_inner, out;  // what is still to be written, from `*_done` on
  size_t to_inner_done = 0, out_done = 0;
  uint64_t body_counted = 0;  // part of body_bytes_
  bool has_slot = false;
  bool inner_replied = false;
  Clock::time_point deadline, born = Clock::now();
  std::string id;
  CancelToken cancel;
  Endpoint at_client, at_inner;
  uint32_t client_events = 0, inner_events = 0;  // what epoll watches
};

namespace {

std::chrono::steady_clock::time_point after(double seconds) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

}  // namespace

Gate::Gate(const Listening& listening, AccessRules rules, GateLimits limits, std::filesystem::path inner)
    : limits_(limits), rules_(std::move(rules)), inner_(std::move(inner)), unix_path_(listening.unix_path) {
  raise_file_limit();
  listener_.fd = open_listener(listening, port_);
  epoll_.fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_.fd < 0) throw Error(ErrorCode::kIo, std::string("epoll: ") + std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &listening_;
  ::epoll_ctl(epoll_.fd, EPOLL_CTL_ADD, listener_.fd, &event);
}

Gate::~Gate() {
  while (!connections_.empty()) close(*connections_.begin()->first);
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
}

void Gate::run(const CancelToken& stop) {
  auto next_check = Clock::now();
  while (!stop.cancelled()) {
    std::array<epoll_event, 128> events{};
    const int n = ::epoll_wait(epoll_.fd, events.data(), static_cast<int>(events.size()), kTickMilliseconds);
    if (n < 0 && errno != EINTR) throw Error(ErrorCode::kIo, std::string("epoll: ") + std::strerror(errno));
    for (int i = 0; i < n; ++i) {
      const auto& endpoint = *static_cast<const Endpoint*>(events[static_cast<size_t>(i)].data.ptr);
      if (endpoint.connection == nullptr) {
        accept_all();
      } else if (connections_.contains(endpoint.connection)) {
        const uint32_t what = events[static_cast<size_t>(i)].events;
        if (endpoint.inner) {
          on_inner(*endpoint.connection, what);
        } else {
          on_client(*endpoint.connection, what);
        }
      }
    }
    start_queued();
    if (Clock::now() >= next_check) {
      check_deadlines();
      next_check = Clock::now() + std::chrono::milliseconds(kTickMilliseconds);
    }
    ended_.clear();
    publish_counts();
  }
  while (!connections_.empty()) close(*connections_.begin()->first);
  ended_.clear();
}

void Gate::accept_all() {
  for (;;) {
    const int fd = ::accept4(listener_.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      // Out of descriptors: the oldest of those that have not asked anything yet makes room.
      if ((errno == EMFILE || errno == ENFILE) && end_oldest_reader()) continue;
      return;
    }
    if (connections_.size() >= limits_.max_connections && !end_oldest_reader()) {
      ::close(fd);
      continue;
    }
    if (port_ != 0) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    auto connection = std::make_unique<Connection>(fd);
    connection->deadline = after(limits_.head_seconds);
    Connection& c = *connection;
    connections_.emplace(&c, std::move(connection));
    ++tally_.accepted;
    watch(c);
  }
}

void Gate::on_client(Connection& c, uint32_t events) {
  using Stage = Connection::Stage;
  if (events & EPOLLIN) read_client(c);
  if (!connections_.contains(&c) || c.client < 0) return;
  if (events & EPOLLOUT) write_client(c);
  if (!connections_.contains(&c) || c.client < 0) return;
  const bool asked = c.stage == Stage::kQueued || c.stage == Stage::kForwarding;
  if ((events & (EPOLLHUP | EPOLLERR)) || (asked && (events & EPOLLRDHUP))) return client_left(c);
  watch(c);
}

void Gate::read_client(Connection& c) {
  using Stage = Connection::Stage;
  std::array<char, kReadBytes> buffer;
  const ssize_t n = ::recv(c.client, buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return client_left(c);
  if (c.stage == Stage::kDraining) return;
  c.in.append(buffer.data(), static_cast<size_t>(n));
  take_input(c);
}

// Goes on with what has been read so far.
void Gate::take_input(Connection& c) {
  using Stage = Connection::Stage;
  if (c.stage == Stage::kHead) {
    const size_t end = find_head_end(c.in, c.searched);
    c.searched = c.in.size();
    if (end == std::string::npos || end > kMaxHeadBytes) {
      if (c.in.size() <= kMaxHeadBytes) return;
      return refuse(c, {431, "the head is longer than " + std::to_string(kMaxHeadBytes) + " bytes",
                        "header_too_large"});
    }
    if (const auto refusal = parse_head(std::string_view(c.in).substr(0, end), c.head))
      return refuse(c, *refusal);
    if (const auto refusal = check_access(c.head, rules_)) return refuse(c, *refusal);
    if (c.head.content_length > limits_.max_body_bytes)
      return refuse(c, {413, "the body is longer than " + std::to_string(limits_.max_body_bytes) + " bytes",
                        "body_too_large"});
    if (body_bytes_ + c.head.content_length > limits_.max_all_body_bytes)
      return refuse(c, {503, "too much is being sent at once", "overloaded"});
    c.body_counted = c.head.content_length;
    body_bytes_ += c.body_counted;
    c.in.erase(0, end);
    c.stage = Stage::kBody;
    c.deadline = after(limits_.body_seconds);
    if (c.head.expects_continue && c.in.size() < c.head.content_length)
      c.out = "HTTP/1.1 100 Continue\r\n\r\n";
  }
  if (c.stage == Stage::kBody && c.in.size() >= c.head.content_length) queue(c);
}

void Gate::queue(Connection& c) {
  if (queue_.size() >= limits_.max_queued)
    return refuse(c, {503, "too many requests wait already", "overloaded"});
  c.in.resize(static_cast<size_t>(c.head.content_length));  // one request a connection
  c.stage = Connection::Stage::kQueued;
  c.deadline = after(limits_.queue_seconds);
  queue_.push_back(&c);
}

void Gate::start_queued() {
  while (!queue_.empty() && in_flight_ < limits_.max_in_flight) {
    Connection& c = *queue_.front();
    if (!connect_inner(c)) return;  // its backlog is full for a moment
    queue_.pop_front();
  }
}

// false: not now. A connection that cannot be made at all is refused here.
bool Gate::connect_inner(Connection& c) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, inner_.c_str(), sizeof(address.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const bool later = fd >= 0 && errno == EAGAIN;
    if (fd >= 0) ::close(fd);
    if (later) return false;
    refuse(c, {503, "the server is not ready", "overloaded"});
    return true;
  }
  c.inner = fd;
  c.id = new_id();
  {
    const std::lock_guard lock(mutex_);
    tickets_[c.id] = {c.cancel, Clock::now()};
  }
  c.to_inner = forwarded_head(c.head, c.id) + c.in;
  c.in = std::string();
  c.has_slot = true;
  ++in_flight_;
  ++tally_.forwarded;
  c.stage = Connection::Stage::kForwarding;
  c.deadline = Clock::time_point::max();
  watch(c);
  return true;
}

void Gate::on_inner(Connection& c, uint32_t events) {
  if (events & EPOLLOUT) write_inner(c);
  const bool readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
  if (readable && connections_.contains(&c) && c.inner >= 0 && c.has_room()) read_inner(c);
  if (connections_.contains(&c)) watch(c);
}

void Gate::write_inner(Connection& c) {
  while (c.to_inner_done < c.to_inner.size()) {
    const ssize_t n = ::send(c.inner, c.to_inner.data() + c.to_inner_done,
                             c.to_inner.size() - c.to_inner_done, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) return end_inner(c);
    c.to_inner_done += static_cast<size_t>(n);
  }
  c.to_inner = std::string();
  c.to_inner_done = 0;
}

void Gate::read_inner(Connection& c) {
  std::array<char, kReadBytes> buffer;
  const ssize_t n = ::recv(c.inner, buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return end_inner(c);
  c.inner_replied = true;
  if (c.client < 0) return;  // nobody reads it any more
  if (c.out_done == c.out.size()) c.deadline = after(limits_.write_seconds);
  c.out.append(buffer.data(), static_cast<size_t>(n));
  write_client(c);
}

void Gate::write_client(Connection& c) {
  using Stage = Connection::Stage;
  while (c.out_done < c.out.size()) {
    const ssize_t n = ::send(c.client, c.out.data() + c.out_done, c.out.size() - c.out_done, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) return client_left(c);
    c.out_done += static_cast<size_t>(n);
    if (c.stage == Stage::kForwarding) c.deadline = after(limits_.write_seconds);
  }
  c.out.clear();
  c.out_done = 0;
  if (c.stage == Stage::kForwarding) {
    c.deadline = Clock::time_point::max();
    if (c.inner < 0) {  // the whole reply is out
      c.stage = Stage::kRefusing;
    }
  }
  if (c.stage == Stage::kRefusing) {
    ::shutdown(c.client, SHUT_WR);
    c.stage = Stage::kDraining;
    c.deadline = after(kDrainSeconds);
  }
}

// A reply of our own. What the client still sends is not read into memory.
void Gate::refuse(Connection& c, const Refusal& refusal) {
  ++tally_.refused;
  body_bytes_ -= c.body_counted;
  c.body_counted = 0;
  c.in = std::string();
  c.out = refusal_reply(refusal, c.head.method != "HEAD");
  c.out_done = 0;
  c.stage = Connection::Stage::kRefusing;
  c.deadline = after(kDrainSeconds);
  write_client(c);
  if (connections_.contains(&c)) watch(c);
}

// The handler learns it by its ticket and by the end of its input; its slot is free when it has ended.
void Gate::client_left(Connection& c) {
  c.cancel.cancel();
  if (c.inner < 0 || c.to_inner_done < c.to_inner.size()) return close(c);
  ::shutdown(c.inner, SHUT_WR);
  hang_up(c.client);
  c.client = -1;
  c.client_events = 0;
  c.out.clear();
  c.out_done = 0;
  c.deadline = Clock::time_point::max();
  watch(c);
}

// A child that is being started may hold a copy of the descriptor until it runs its program: closing ours
// would leave it watched, and its events would be taken for those of the next connection that has the same
// address.
void Gate::hang_up(int fd) {
  ::epoll_ctl(epoll_.fd, EPOLL_CTL_DEL, fd, nullptr);
  ::close(fd);
}

void Gate::end_inner(Connection& c) {
  hang_up(c.inner);
  c.inner = -1;
  c.inner_events = 0;
  if (c.has_slot) --in_flight_;
  c.has_slot = false;
  {
    const std::lock_guard lock(mutex_);
    tickets_.erase(c.id);
  }
  if (c.client < 0) return close(c);
  if (!c.inner_replied) return refuse(c, {502, "the request could not be served", "bad_gateway"});
  write_client(c);
}

void Gate::close(Connection& c) {
  c.cancel.cancel();
  if (c.client >= 0) hang_up(c.client);
  if (c.inner >= 0) hang_up(c.inner);
  if (c.has_slot) --in_flight_;
  body_bytes_ -= c.body_counted;
  if (c.stage == Connection::Stage::kQueued) std::erase(queue_, &c);
  if (!c.id.empty()) {
    const std::lock_guard lock(mutex_);
    tickets_.erase(c.id);
  }
  const auto at = connections_.find(&c);
  ended_.push_back(std::move(at->second));
  connections_.erase(at);
}

// Tells epoll what the connection waits for now.
void Gate::watch(Connection& c) {
  using Stage = Connection::Stage;
  const auto set = [this](int fd, Endpoint& endpoint, uint32_t& known, uint32_t wanted) {
    if (fd < 0 || known == wanted) return;
    epoll_event event{};
    event.events = wanted;
    event.data.ptr = &endpoint;
    // Who waits for nothing is taken out: a hang-up would be reported again and again.
    const int what = wanted == 0 ? EPOLL_CTL_DEL : known == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    ::epoll_ctl(epoll_.fd, what, fd, &event);
    known = wanted;
  };
  uint32_t client = EPOLLERR;
  if (c.stage == Stage::kHead || c.stage == Stage::kBody || c.stage == Stage::kDraining) client |= EPOLLIN;
  if (c.stage == Stage::kQueued || c.stage == Stage::kForwarding) client |= EPOLLRDHUP;
  if (c.out_done < c.out.size()) client |= EPOLLOUT;
  set(c.client, c.at_client, c.client_events, client);
  uint32_t inner = 0;
  if (c.has_room()) inner |= EPOLLIN;
  if (c.to_inner_done < c.to_inner.size()) inner |= EPOLLOUT;
  set(c.inner, c.at_inner, c.inner_events, inner);
}

void Gate::check_deadlines() {
  using Stage = Connection::Stage;
  const auto now = Clock::now();
  std::vector<Connection*> late;
  for (const auto& [connection, owner] : connections_)
    if (connection->deadline < now) late.push_back(connection);
  for (Connection* c : late) {
    if (c->stage == Stage::kQueued) {
      std::erase(queue_, c);
      refuse(*c, {503, "no turn came in time", "overloaded"});
    } else if (c->stage == Stage::kBody || (c->stage == Stage::kHead && !c->in.empty())) {
      refuse(*c, {408, "the request took too long to arrive", "request_timeout"});
    } else if (c->stage == Stage::kForwarding) {
      client_left(*c);
    } else {
      close(*c);
    }
  }
}

bool Gate::end_oldest_reader() {
  Connection* oldest = nullptr;
  for (const auto& [connection, owner] : connections_) {
    if (connection->stage != Connection::Stage::kHead && connection->stage != Connection::Stage::kDraining)
      continue;
    if (oldest == nullptr || connection->born < oldest->born) oldest = connection;
  }
  if (oldest == nullptr) return false;
  close(*oldest);
  return true;
}

std::optional<Ticket> Gate::ticket(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = tickets_.find(id);
  return found == tickets_.end() ? std::nullopt : std::optional(found->second);
}

void Gate::publish_counts() {
  tally_.connections = connections_.size();
  tally_.in_flight = in_flight_;
  tally_.queued = queue_.size();
  const std::lock_guard lock(mutex_);
  counts_ = tally_;
}

GateCounts Gate::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace lectern::server
