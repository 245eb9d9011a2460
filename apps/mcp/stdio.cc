#include "apps/mcp/stdio.h"

#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include <poll.h>
#include <unistd.h>
#include <climits>

#include "apps/mcp/lines.h"

namespace lectern::mcp {
namespace {

constexpr int kPollMs = 200;

// Waits until the descriptor is ready; false when `stop` is set or it fails.
bool wait_for(int fd, short events, const CancelToken& stop) {
  while (!stop.cancelled()) {
    pollfd one{fd, events, 0};
    const int n = ::poll(&one, 1, kPollMs);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
  return false;
}

class Writer {
 public:
  Writer(int fd, CancelToken gone) : fd_(fd), gone_(std::move(gone)) {}

  // A client that has gone sets the token. Any thread.
  void write(const Json& message) {
    const std::string line = dump_json(message) + "\n";
    const std::lock_guard lock(mutex_);
    // No more than PIPE_BUF at a time: so much never blocks once poll has said that there is room, and a
    // client that reads nothing cannot keep us from ending.
    for (size_t at = 0; at < line.size();) {
      if (!wait_for(fd_, POLLOUT, gone_)) return;
      const ssize_t n = ::write(fd_, line.data() + at, std::min<size_t>(line.size() - at, PIPE_BUF));
      if (n < 0 && errno != EINTR && errno != EAGAIN) return gone_.cancel();
      if (n > 0) at += static_cast<size_t>(n);
    }
  }

 private:
  int fd_;
  CancelToken gone_;
  std::mutex mutex_;
};

class Session {
 public:
  Session(const Protocol& protocol, int output, const StdioLimits& limits, CancelToken gone)
      : protocol_(&protocol), writer_(output, std::move(gone)), limits_(limits) {}
  ~Session() { end_calls(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void take_line(std::optional<std::string_view> line);
  void end_calls();

 private:
  struct Call {
    Message request;
    CancelToken cancel;
    bool answered = false;  // or will not be
    bool unwanted = false;  // the client has cancelled it: nothing more is written for it
    std::thread thread;
  };

  void take_request(const Message& request);
  void take_notification(const Message& message);
  void start_call(const Message& request, Revision revision);
  void run_call(Call& call, Revision revision);
  void join_answered();

  const Protocol* protocol_;
  Writer writer_;
  StdioLimits limits_;
  std::optional<Revision> agreed_;                      // by initialize
  std::mutex mutex_;                                    // of the calls' flags
  std::map<std::string, std::unique_ptr<Call>> calls_;  // by id, as JSON
};

void Session::take_line(std::optional<std::string_view> line) {
  try {
    if (!line)
      throw ProtocolError(kInvalidRequest,
                          "the line is longer than " + std::to_string(limits_.max_line_bytes) + " bytes");
    if (line->find_first_not_of(" \t") == std::string_view::npos) return;
    const Message message = parse_message(*line);
    if (message.kind == Message::Kind::kNotification) return take_notification(message);
    if (message.kind == Message::Kind::kResponse) return;  // we ask nothing
    try {
      take_request(message);
    } catch (ProtocolError& error) {
      error.set_id(message.id);
      throw;
    }
  } catch (const ProtocolError& error) {
    writer_.write(error_message(error));
  }
}

void Session::take_request(const Message& request) {
  const Revision revision = protocol_->revision_of(request, agreed_);
  if (request.method == "initialize" && !is_stateless(revision)) agreed_ = revision;
  if (request.method == "tools/call") return start_call(request, revision);
  if (const auto reply = protocol_->answer(request, revision, {}, CancelToken())) writer_.write(*reply);
}

void Session::take_notification(const Message& message) {
  if (message.method != "notifications/cancelled") return;
  const auto id = message.params.find("requestId");
  if (id == message.params.end()) return;
  const std::lock_guard lock(mutex_);
  const auto at = calls_.find(dump_json(*id));
  if (at == calls_.end()) return;
  at->second->unwanted = true;
  at->second->cancel.cancel();
}

void Session::start_call(const Message& request, Revision revision) {
  join_answered();
  const std::string key = dump_json(request.id);
  if (calls_.contains(key)) throw ProtocolError(kInvalidRequest, "this id belongs to a call that still runs");
  if (calls_.size() >= limits_.max_calls)
    throw ProtocolError(kInternalError, "too many calls at a time: wait until one has ended");
  auto call = std::make_unique<Call>();
  call->request = request;
  Call& started = *call;
  const std::lock_guard lock(mutex_);
  calls_.emplace(key, std::move(call));
  started.thread = std::thread([this, &started, revision] { run_call(started, revision); });
}

void Session::run_call(Call& call, Revision revision) {
  const auto send = [&](const Json& message) {
    {
      const std::lock_guard lock(mutex_);
      if (call.unwanted) return;
    }
    writer_.write(message);
  };
  if (const auto reply = protocol_->answer(call.request, revision, send, call.cancel)) send(*reply);
  const std::lock_guard lock(mutex_);
  call.answered = true;
}

void Session::join_answered() {
  const std::lock_guard lock(mutex_);
  for (auto at = calls_.begin(); at != calls_.end();) {
    if (at->second->answered) {
      at->second->thread.join();  // it has given the lock back, or waits for nothing else
      at = calls_.erase(at);
    } else {
      ++at;
    }
  }
}

void Session::end_calls() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, call] : calls_) call->cancel.cancel();
  }
  for (const auto& [id, call] : calls_) call->thread.join();
  calls_.clear();
}

}  // namespace

void serve_stdio(const Protocol& protocol, int input, int output, const StdioLimits& limits,
                 const CancelToken& stop, const std::function<void()>& tick) {
  const CancelToken gone;  // of the client, or our own end
  Session session(protocol, output, limits, gone);
  LineCutter lines(limits.max_line_bytes);
  const auto on_line = [&session](std::optional<std::string_view> line) { session.take_line(line); };
  auto ticked = std::chrono::steady_clock::now();
  char bytes[1 << 16];
  while (!stop.cancelled() && !gone.cancelled()) {
    if (const auto now = std::chrono::steady_clock::now(); now - ticked >= std::chrono::seconds(1)) {
      ticked = now;
      tick();
    }
    pollfd one{input, POLLIN, 0};
    if (::poll(&one, 1, kPollMs) <= 0) continue;
    const ssize_t n = ::read(input, bytes, sizeof(bytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      lines.finish(on_line);
      break;
    }
    lines.feed({bytes, static_cast<size_t>(n)}, on_line);
  }
  if (stop.cancelled()) gone.cancel();
  session.end_calls();
}

}  // namespace lectern::mcp
