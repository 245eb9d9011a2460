// HTTP to one API server through libcurl, which honours the usual proxy variables: JSON there, bytes back as
// they come, cancelled within a moment, sent again where that may help. Thread-safe; every request under way
// has a connection of its own, which is kept open for the next.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/remote_body.h"
#include "base/cancel.h"
#include "base/json.h"

namespace lectern {

struct HttpLimits {
  double connect_seconds = 10;
  double first_byte_seconds = 600;  // a server on a CPU reads a long prompt for minutes
  double idle_seconds = 120;        // between two parts of a reply
  double closing_seconds = 2;       // for what may follow a reply that is complete
  double whole_seconds = 1800;      // for all of a reply, besides HttpRequest::more_seconds
  uint64_t max_reply_bytes = 32 << 20;
  int attempts = 4;
  double first_pause_seconds = 0.5;   // doubled from attempt to attempt, less a random part
  double longest_pause_seconds = 60;  // a server that asks for more (Retry-After) is not waited for
};

struct HttpRequest {
  std::string path;          // begins with "/"; appended to the URL
  std::optional<Json> body;  // sent by POST; none: GET
  bool from_root = false;    // the path is the server's, not below the API's (/props instead of /v1/props)
  // Asks what the server offers: one attempt, and no reply within 10 seconds is a failure.
  bool is_probe = false;
  // The request holds what the server may not support, which some answer with 500: then it is not sent again.
  bool may_be_refused = false;
  double more_seconds = 0;  // that the reply may take, as a long one does
};

struct HttpReply {
  int status = 0;
  std::string body;  // empty where `on_body` took it; of an error the first 64 KiB
  std::string content_type;

  bool is_success() const { return status >= 200 && status < 300; }
};

class RemoteHttp {
 public:
  // `url`: the API's, such as http://localhost:8080/v1 (a URL without a path gets /v1). `api_key` may be
  // empty. Throws Error(kInvalidArgument) for anything else; no message ever holds the key or a password.
  RemoteHttp(const std::string& url, std::string api_key, const HttpLimits& limits);
  ~RemoteHttp();

  // The body of a 2xx reply as it comes. Exceptions pass through.
  using OnBody = std::function<BodyPart(std::string_view bytes, const std::string& content_type)>;

  // Returns replies of any status; 429 and 5xx after further attempts. A broken connection is tried again
  // unless `on_body` has had bytes. Throws Error that names the URL: kUnavailable, kResourceExhausted (a
  // reply without end), kCancelled.
  HttpReply send(const HttpRequest& request, const OnBody& on_body, const CancelToken& cancel);

  // For messages.
  std::string shown_url(const HttpRequest& request) const;
  // What a server said, as one line of at most 300 bytes without the key.
  std::string said(std::string_view body) const;

 private:
  struct Connection;
  struct Transfer;

  Transfer attempt(const HttpRequest& request, const std::string& body, const OnBody& on_body,
                   const CancelToken& cancel);
  std::unique_ptr<Connection> take_connection();

  std::string url_, root_;  // without a "/" at the end
  bool is_local_ = false;
  std::string api_key_;
  HttpLimits limits_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // guarded by mutex_
};

}  // namespace lectern
