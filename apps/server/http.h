// What routes are written with: a request with its JSON body and its cancel token, replies in JSON, streams
// of server-sent events, and the wall where errors become statuses. A route runs on a thread of the HTTP
// library.
#pragma once

#include <httplib.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/gate.h"
#include "apps/server/multipart.h"
#include "base/error.h"
#include "base/json.h"

namespace lectern::server {

struct ErrorReply {
  int status = 500;
  std::string message;
  std::string code;   // for programs
  std::string param;  // the field of the body that is wrong
};

// An error with an HTTP status of its own.
class HttpError : public Error {
 public:
  HttpError(int status, const std::string& message, std::string error_code = {}, std::string param = {})
      : Error(ErrorCode::kInvalidArgument, message),
        reply_{status, message, std::move(error_code), std::move(param)} {}
  const ErrorReply& reply() const { return reply_; }

 private:
  ErrorReply reply_;
};

// The reply that an exception stands for. What is not an Error is not told to the client.
ErrorReply reply_of(const std::exception& error);

// A body's fields, with types and ranges checked: throws HttpError(400) that names the field. A field that is
// null counts as absent.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(&json) {}

  const Json* find(const char* name) const;
  std::string text(const char* name) const;  // required, not empty
  std::string text_or(const char* name, const std::string& otherwise) const;
  int64_t integer(const char* name, int64_t otherwise, int64_t least, int64_t most) const;
  double number(const char* name, double otherwise, double least, double most) const;
  bool flag(const char* name, bool otherwise) const;
  // A string or an array of strings.
  std::vector<std::string> texts(const char* name, size_t most) const;

 private:
  const Json* json_;
};

struct Call {
  const httplib::Request& request;
  httplib::Response& response;
  CancelToken cancel;  // set when the client leaves
  std::string id;

  std::string path_part(int number) const { return request.matches[static_cast<size_t>(number)].str(); }
  void reply(const Json& json, int status = 200) const;
};

// Writes events as they come. When the client has gone, the call's cancel token is set.
class EventWriter {
 public:
  EventWriter(httplib::DataSink& sink, CancelToken cancel) : sink_(&sink), cancel_(std::move(cancel)) {}

  void event(std::string_view name, const Json& data) { write("event: " + std::string(name) + "\n", data); }
  void data(const Json& json) { write("", json); }
  void raw(const std::string& text);  // as it is

 private:
  void write(const std::string& head, const Json& json) { raw(head + "data: " + dump_json(json) + "\n\n"); }

  httplib::DataSink* sink_;
  CancelToken cancel_;
};

// Replies with a stream that `body` writes, on the same thread, after the route has returned: it captures by
// value. An error becomes `on_error`'s event.
void stream(const Call& call, const std::string& content_type, std::function<void(EventWriter&)> body,
            std::function<void(EventWriter&, const ErrorReply&)> on_error);
// The same with event: error {"error": {...}} for errors.
void stream_events(const Call& call, std::function<void(EventWriter&)> body);

// Where routes are added.
class Router {
 public:
  using Route = std::function<void(Call&)>;
  using FormRoute = std::function<void(Call&, const std::vector<FormPart>& parts)>;
  using BodyRoute = std::function<void(Call&, const Json& body)>;

  Router(httplib::Server& server, const Gate& gate) : server_(&server), gate_(&gate) {}

  void get(const std::string& pattern, Route route);
  void remove(const std::string& pattern, Route route);
  // The body is a JSON object; an empty one counts as {}.
  void post(const std::string& pattern, BodyRoute route);
  // The body is the route's business.
  void post_text(const std::string& pattern, Route route);
  // Once, after all routes: what they leave out of GET, POST and DELETE is answered by 405 and what there is.
  void refuse_other_methods();

  struct Added {
    std::string method, pattern;
  };
  const std::vector<Added>& added() const { return added_; }
  // The body is multipart/form-data: only where the gate allows it (access.cc).
  void form(const std::string& pattern, FormRoute route);

 private:
  httplib::Server::Handler guarded(Route route) const;

  httplib::Server* server_;
  const Gate* gate_;
  std::vector<Added> added_;
};

}  // namespace lectern::server
