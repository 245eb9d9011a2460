// The whole server: service, gate and HTTP library put together. Made and run by one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/gate.h"
#include "apps/server/service.h"

namespace lectern::server {

struct ServerOptions {
  std::vector<std::string> folders;  // none: all that are indexed
  Listening listening;
  std::string api_key;  // "": none; refused off the loopback
  ModelHostOptions models;
  GateLimits limits;
  std::string version;
  bool index_at_start = true;
  // One line of JSON for each request that was answered, without what was asked; may be empty. Any thread.
  std::function<void(const std::string& line)> log;
};

class Server {
 public:
  // Opens the collections and listens. Throws Error that says what to change.
  explicit Server(ServerOptions options);
  ~Server();

  std::string url() const;  // "http://127.0.0.1:8642", or "unix:PATH"
  const Service& service() const;
  // Method and pattern of every route.
  std::vector<std::pair<std::string, std::string>> routes() const;

  // Serves until `stop` is set.
  void run(const CancelToken& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lectern::server
