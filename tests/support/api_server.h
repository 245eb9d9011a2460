// A scripted HTTP/1.1 server on the loopback interface: `handler` decides what each request gets, down to the
// bytes and when they come. Every connection has a thread of its own and serves one request.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/json.h"

namespace lectern {

struct ApiRequest {
  std::string method, path, head, body;
  Json json() const { return parse_json(body, "request"); }
};

class ApiConnection {
 public:
  explicit ApiConnection(int fd) : fd_(fd) {}
  // False when the client has gone.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void reply(int status, std::string_view body, const std::string& headers = "") const {
    send("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: close\r\n" + headers + "\r\n" + std::string(body));
  }
  void begin_stream() const {
    send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
  }
  bool event(const Json& data) const { return send("data: " + dump_json(data) + "\n\n"); }
  bool text(const std::string& piece) const {
    return event({{"choices", {{{"delta", {{"content", piece}}}, {"finish_reason", nullptr}}}}});
  }
  void end_stream(const std::string& reason = "stop") const {
    event({{"choices", {{{"delta", Json::object()}, {"finish_reason", reason}}}}});
    send("data: [DONE]\n\n");
  }
  void stream(const std::string& whole) const {
    begin_stream();
    text(whole);
    end_stream();
  }

 private:
  int fd_;
};

class ApiServer {
 public:
  using Handler = std::function<void(const ApiRequest&, const ApiConnection&)>;

  explicit ApiServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(listener_, 64);
    socklen_t length = sizeof(address);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { serve(); });
  }
  ~ApiServer() {
    stop_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : connections_) thread.join();
    ::close(listener_);
  }
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string root() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string url() const { return root() + "/v1"; }
  // What came so far for `path`, in order.
  std::vector<ApiRequest> requests(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    std::vector<ApiRequest> out;
    for (const ApiRequest& request : requests_) {
      if (request.path == path) out.push_back(request);
    }
    return out;
  }

 private:
  void serve() {
    while (!stop_) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      connections_.emplace_back([this, fd] {
        answer(fd);
        ::close(fd);
      });
    }
  }

  void answer(int fd) {
    ApiRequest request;
    std::string text;
    size_t body_at = std::string::npos, body_bytes = 0;
    char buffer[1 << 14];
    while (body_at == std::string::npos || text.size() < body_at + body_bytes) {
      const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
      if (n <= 0) return;
      text.append(buffer, static_cast<size_t>(n));
      const size_t end = text.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      body_at = end + 4;
      request.head = text.substr(0, body_at);
      if (const size_t at = request.head.find("Content-Length: "); at != std::string::npos)
        body_bytes = std::stoull(request.head.substr(at + 16));
    }
    request.method = text.substr(0, text.find(' '));
    const size_t path_at = request.method.size() + 1;
    request.path = text.substr(path_at, text.find(' ', path_at) - path_at);
    request.body = text.substr(body_at);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    handler_(request, ApiConnection(fd));
  }

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<ApiRequest> requests_;
  std::vector<std::thread> connections_;  // of the acceptor's thread until it is joined
  std::thread acceptor_;
};

}  // namespace lectern
