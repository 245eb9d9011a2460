// A response as it grows, and the events that tell of it: whether it is streamed or not, it is built in one
// way. Belongs to one request.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "apps/server/chat_wire.h"

namespace lectern::server {

class ResponseBuilder {
 public:
  using OnEvent = std::function<void(const std::string& type, const Json& event)>;

  // `echo`: fields of the request that belong to the response. `on_event` may be empty.
  ResponseBuilder(std::string id, const std::string& model, const Json& echo, OnEvent on_event);

  void begin();
  void begin_search();
  void end_search(const std::string& query, const Json& results);  // results: null unless asked for
  void add_text(std::string_view text);
  void end_text(const Json& annotations);  // nothing when there was none
  void add_call(const ToolCall& call);
  void complete(const ChatResult& result);
  void fail(const ErrorReply& error);

  const Json& response() const { return response_; }

 private:
  void send(const char* type, Json event);
  void send_response(const char* type);
  Json place() const;  // of the item at hand
  void begin_item(Json item);
  void end_item(Json item);

  OnEvent on_event_;
  Json response_;
  int64_t sequence_ = 0;
  std::string item_id_;
  std::string text_;
  bool in_text_ = false;
};

// What the model was given, as the results of a search.
Json results_json(const ChatResult& result);

}  // namespace lectern::server
