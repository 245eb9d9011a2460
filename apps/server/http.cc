#include "apps/server/http.h"

#include <cmath>
#include <map>
#include <set>

namespace lectern::server {
namespace {

constexpr char kJson[] = "application/json";

void write_error(httplib::Response& response, const ErrorReply& reply) {
  response.status = reply.status;
  if (reply.status == 503) response.set_header("Retry-After", "1");
  response.set_content(error_body(reply.status, reply.message, reply.code, reply.param), kJson);
}

[[noreturn]] void wrong(const char* name, const std::string& what) {
  throw HttpError(400, "\"" + std::string(name) + "\" " + what, "invalid_value", name);
}

std::string shown(double value) {
  return Json(value).dump();
}

}  // namespace

ErrorReply reply_of(const std::exception& error) {
  if (const auto* http = dynamic_cast<const HttpError*>(&error)) return http->reply();
  const auto* known = dynamic_cast<const Error*>(&error);
  if (known == nullptr) return {500, "internal error, please report it", "internal_error", ""};
  const std::string code(to_string(known->code()));
  switch (known->code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
      return {400, known->what(), code, ""};
    case ErrorCode::kNotFound:
      return {404, known->what(), code, ""};
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
      return {503, known->what(), code, ""};
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      break;
  }
  return {500, known->what(), code, ""};
}

const Json* Fields::find(const char* name) const {
  const auto at = json_->find(name);
  return at == json_->end() || at->is_null() ? nullptr : &*at;
}

std::string Fields::text(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) wrong(name, "is missing");
  std::string text = text_or(name, "");
  if (text.empty()) wrong(name, "is empty");
  return text;
}

std::string Fields::text_or(const char* name, const std::string& otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) wrong(name, "must be a string");
  return value->get<std::string>();
}

int64_t Fields::integer(const char* name, int64_t otherwise, int64_t least, int64_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  const std::string range =
      "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  if (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    wrong(name, range);
  // 3.0 is a whole number, too; a double holds all those of less than 2^53.
  const double real = value->is_number_float() ? value->get<double>() : 0.5;
  const bool is_whole = real == std::floor(real) && std::abs(real) < 9007199254740992.0;
  if (!value->is_number_integer() && !is_whole) wrong(name, range);
  const auto number = value->get<int64_t>();
  if (number < least || number > most) wrong(name, range);
  return number;
}

double Fields::number(const char* name, double otherwise, double least, double most) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(number >= least && number <= most))
    wrong(name, "must be a number from " + shown(least) + " to " + shown(most));
  return number;
}

bool Fields::flag(const char* name, bool otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong(name, "must be true or false");
  return value->get<bool>();
}

std::vector<std::string> Fields::texts(const char* name, size_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array()) wrong(name, "must be a string or an array of strings");
  if (value->size() > most) wrong(name, "has more than " + std::to_string(most) + " entries");
  std::vector<std::string> out;
  for (const Json& item : *value) {
    if (!item.is_string()) wrong(name, "must be a string or an array of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

void Call::reply(const Json& json, int status) const {
  response.status = status;
  response.set_content(dump_json(json), kJson);
}

void EventWriter::raw(const std::string& text) {
  if (cancel_.cancelled()) return;
  if (!sink_->is_writable() || !sink_->write(text.data(), text.size())) cancel_.cancel();
}

void stream(const Call& call, const std::string& content_type, std::function<void(EventWriter&)> body,
            std::function<void(EventWriter&, const ErrorReply&)> on_error) {
  call.response.status = 200;
  call.response.set_chunked_content_provider(
      content_type, [cancel = call.cancel, body = std::move(body), on_error = std::move(on_error)](
                        size_t, httplib::DataSink& sink) {
        EventWriter writer(sink, cancel);
        try {
          body(writer);
        } catch (const std::exception& error) {
          on_error(writer, reply_of(error));
        }
        sink.done();
        return true;
      });
}

void stream_events(const Call& call, std::function<void(EventWriter&)> body) {
  stream(call, "text/event-stream", std::move(body), [](EventWriter& writer, const ErrorReply& error) {
    writer.event("error",
                 parse_json(error_body(error.status, error.message, error.code, error.param), "error"));
  });
}

httplib::Server::Handler Router::guarded(Route route) const {
  return
      [gate = gate_, route = std::move(route)](const httplib::Request& request, httplib::Response& response) {
        try {
          const std::string id = request.get_header_value(std::string(kRequestIdHeader));
          const auto ticket = gate->ticket(id);
          if (!ticket) throw HttpError(403, "requests come through the gate only", "forbidden");
          Call call{request, response, ticket->cancel, id};
          route(call);
        } catch (const std::exception& error) {
          write_error(response, reply_of(error));
        }
      };
}

void Router::get(const std::string& pattern, Route route) {
  added_.push_back({"GET", pattern});
  server_->Get(pattern, guarded(std::move(route)));
}

void Router::remove(const std::string& pattern, Route route) {
  added_.push_back({"DELETE", pattern});
  server_->Delete(pattern, guarded(std::move(route)));
}

void Router::post_text(const std::string& pattern, Route route) {
  added_.push_back({"POST", pattern});
  server_->Post(pattern, guarded(std::move(route)));
}

void Router::post(const std::string& pattern, BodyRoute route) {
  post_text(pattern, [route = std::move(route)](Call& call) {
    Json body = Json::object();
    if (!call.request.body.empty()) {
      try {
        body = parse_json(call.request.body, "the body");
      } catch (const Error& error) {
        throw HttpError(400, error.what(), "invalid_json");
      }
      if (!body.is_object()) throw HttpError(400, "the body must be a JSON object", "invalid_json");
    }
    route(call, body);
  });
}

void Router::refuse_other_methods() {
  std::map<std::string, std::set<std::string>> methods;
  for (const Added& route : added_) methods[route.pattern].insert(route.method);
  for (const auto& [pattern, there] : methods) {
    std::string allowed;
    for (const std::string& method : there) allowed += (allowed.empty() ? "" : ", ") + method;
    const auto refuse = guarded([allowed](Call& call) {
      call.response.set_header("Allow", allowed);
      throw HttpError(405, "this address takes " + allowed, "method_not_allowed");
    });
    if (!there.contains("GET")) server_->Get(pattern, refuse);
    if (!there.contains("POST")) server_->Post(pattern, refuse);
    if (!there.contains("DELETE")) server_->Delete(pattern, refuse);
  }
}

void Router::form(const std::string& pattern, FormRoute route) {
  post_text(pattern, [route = std::move(route)](Call& call) {
    const std::string type = call.request.get_header_value(std::string(kFormTypeHeader));
    if (type.empty())
      throw HttpError(415, "the body must be a form, with Content-Type: multipart/form-data",
                      "unsupported_media_type");
    route(call, parse_form(call.request.body, form_boundary(type)));
  });
}

}  // namespace lectern::server
