// One message of JSON-RPC 2.0 as the Model Context Protocol uses it: no batches, named parameters only, ids
// that are strings or whole numbers. Pure functions, safe from any thread.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/json.h"

namespace lectern::mcp {

// The codes of JSON-RPC, and those that revision 2026-07-28 adds.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
inline constexpr int kHeaderMismatch = -32020;
inline constexpr int kUnsupportedVersion = -32022;

// A request that cannot be answered: what the client gets instead of a result.
class ProtocolError : public std::runtime_error {
 public:
  ProtocolError(int code, const std::string& message, Json data = nullptr)
      : std::runtime_error(message), code_(code), data_(std::move(data)) {}
  int code() const { return code_; }
  const Json& data() const { return data_; }  // null: none

  // Of the request, when it could be read; else null.
  const Json& id() const { return id_; }
  void set_id(Json id) { id_ = std::move(id); }

 private:
  int code_;
  Json data_, id_;
};

struct Message {
  enum class Kind { kRequest, kNotification, kResponse };

  Kind kind = Kind::kNotification;
  Json id;  // of a request
  std::string method;
  Json params = Json::object();
};

// Any bytes; throws ProtocolError.
Message parse_message(std::string_view text);

Json result_message(const Json& id, Json result);
Json error_message(const ProtocolError& error);
Json notification_message(const std::string& method, Json params);

}  // namespace lectern::mcp
