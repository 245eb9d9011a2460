#include "apps/mcp/message.h"

#include "base/error.h"

namespace lectern::mcp {
namespace {

Message read_message(const Json& json) {
  const auto fail = [](const std::string& why) { throw ProtocolError(kInvalidRequest, why); };
  Message message;
  if (const auto id = json.find("id"); id != json.end()) {
    message.kind = Message::Kind::kRequest;
    message.id = *id;
  }
  const auto version = json.find("jsonrpc");
  if (version == json.end() || *version != "2.0") fail("\"jsonrpc\" must be \"2.0\"");
  const auto method = json.find("method");
  if (method == json.end()) {
    if (!json.contains("result") && !json.contains("error")) fail("\"method\" is missing");
    message.kind = Message::Kind::kResponse;
    return message;
  }
  if (!method->is_string()) fail("\"method\" must be a string");
  message.method = method->get<std::string>();
  if (const auto params = json.find("params"); params != json.end()) {
    if (!params->is_object()) throw ProtocolError(kInvalidParams, "\"params\" must be an object");
    message.params = *params;
  }
  return message;
}

}  // namespace

Message parse_message(std::string_view text) {
  Json json;
  try {
    json = parse_json(text, "the message");
  } catch (const Error& error) {
    throw ProtocolError(kParseError, error.what());
  }
  if (json.is_array()) throw ProtocolError(kInvalidRequest, "batches are not understood: send one message");
  if (!json.is_object()) throw ProtocolError(kInvalidRequest, "a message is a JSON object");
  const auto id = json.find("id");
  if (id != json.end() && !id->is_string() && !id->is_number_integer())
    throw ProtocolError(kInvalidRequest, "\"id\" must be a string or a whole number");
  try {
    return read_message(json);
  } catch (ProtocolError& error) {
    if (id != json.end()) error.set_id(*id);
    throw;
  }
}

Json result_message(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json error_message(const ProtocolError& error) {
  Json json{{"jsonrpc", "2.0"}, {"id", error.id()}};
  json["error"] = {{"code", error.code()}, {"message", error.what()}};
  if (!error.data().is_null()) json["error"]["data"] = error.data();
  return json;
}

Json notification_message(const std::string& method, Json params) {
  return {{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}};
}

}  // namespace lectern::mcp
