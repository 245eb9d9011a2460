// A small HTTP/1.1 server on the loopback interface, for tests of downloads: files in memory, ranges, and the
// faults a test asks for. Answers one connection at a time on a thread of its own.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lectern {

class HttpServer {
 public:
  struct File {
    std::string content;
    // Faults, each for the first `faults` requests of this file:
    int faults = 0;
    size_t cut_after = std::string::npos;  // close the connection after so many body bytes
    int status = 0;                        // answer this status instead
    bool ignore_ranges = false;            // (always) answer 200 and everything
  };

  HttpServer() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(listener_, 8);
    socklen_t length = sizeof(address);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    stop_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  void put(const std::string& path, File file) {
    const std::lock_guard lock(mutex_);
    files_[path] = std::move(file);
  }
  // "GET /path" or "GET /path bytes=5-", in order.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stop_) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      answer(connection);
      ::close(connection);
    }
  }

  static void send_all(int fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      text.remove_prefix(static_cast<size_t>(n));
    }
  }

  void answer(int fd) {
    std::string head;
    char buffer[4096];
    while (head.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
      if (n <= 0) return;
      head.append(buffer, static_cast<size_t>(n));
    }
    const std::string path = head.substr(4, head.find(' ', 4) - 4);
    const size_t range_at = head.find("Range: bytes=");
    size_t begin = 0;
    if (range_at != std::string::npos) begin = std::stoull(head.substr(range_at + 13));

    File file;
    bool known = false;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back("GET " + path +
                          (range_at == std::string::npos ? "" : " bytes=" + std::to_string(begin) + "-"));
      if (const auto it = files_.find(path); it != files_.end()) {
        known = true;
        file = it->second;
        if (it->second.faults > 0) --it->second.faults;
      }
    }
    if (!known)
      return send_all(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const bool faulty = file.faults > 0;
    if (faulty && file.status != 0) {
      return send_all(fd, "HTTP/1.1 " + std::to_string(file.status) +
                              " Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if (range_at != std::string::npos && !file.ignore_ranges && begin >= file.content.size())
      return send_all(fd, "HTTP/1.1 416 Range\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const bool partial = range_at != std::string::npos && !file.ignore_ranges;
    const std::string_view body = std::string_view(file.content).substr(partial ? begin : 0);
    send_all(fd, std::string(partial ? "HTTP/1.1 206 Partial Content" : "HTTP/1.1 200 OK") +
                     "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n");
    send_all(fd, faulty ? body.substr(0, file.cut_after) : body);
  }

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace lectern
