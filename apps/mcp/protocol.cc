#include "apps/mcp/protocol.h"

#include <algorithm>

#include "base/error.h"

namespace lectern::mcp {
namespace {

constexpr std::string_view kCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
constexpr std::string_view kServerInfoKey = "io.modelcontextprotocol/serverInfo";
constexpr int kTimeToLiveMs = 300'000;  // of the list of tools, which changes only with the program

constexpr Revision kNewestFirst[] = {Revision::k2026_07_28, Revision::k2025_11_25, Revision::k2025_06_18};
constexpr Revision kNewestWithHandshake = Revision::k2025_11_25;

const Json* find(const Json& object, std::string_view key) {
  const auto at = object.find(std::string(key));
  return at == object.end() ? nullptr : &*at;
}

const Json* meta_of(const Message& request) {
  const Json* meta = find(request.params, "_meta");
  if (meta != nullptr && !meta->is_object())
    throw ProtocolError(kInvalidParams, "\"_meta\" must be an object");
  return meta;
}

std::string text_param(const Json& params, const char* key) {
  const Json* value = find(params, key);
  if (value == nullptr || !value->is_string())
    throw ProtocolError(kInvalidParams, "\"" + std::string(key) + "\" must be a string");
  return value->get<std::string>();
}

// Turns reports into progress notifications, for a client that gave a token.
class ProgressSender {
 public:
  ProgressSender(const Message& request, const Protocol::Send& send, std::chrono::milliseconds apart)
      : send_(&send), apart_(apart) {
    const Json* meta = meta_of(request);
    const Json* token = meta == nullptr ? nullptr : find(*meta, "progressToken");
    if (token == nullptr) return;
    if (!token->is_string() && !token->is_number_integer())
      throw ProtocolError(kInvalidParams, "\"progressToken\" must be a string or a whole number");
    token_ = *token;
  }

  void report(const std::string& message) {
    const auto now = std::chrono::steady_clock::now();
    if (token_.is_null() || (n_ > 0 && now - last_ < apart_)) return;
    last_ = now;
    // A call has parts of different units, so what always grows is only the number of reports.
    Json params{{"progressToken", token_}, {"progress", ++n_}, {"message", message}};
    (*send_)(notification_message("notifications/progress", std::move(params)));
  }

 private:
  const Protocol::Send* send_;
  std::chrono::milliseconds apart_;
  Json token_;
  int64_t n_ = 0;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace

std::string_view to_string(Revision revision) {
  switch (revision) {
    case Revision::k2025_06_18:
      return "2025-06-18";
    case Revision::k2025_11_25:
      return "2025-11-25";
    case Revision::k2026_07_28:
      break;
  }
  return "2026-07-28";
}

std::optional<Revision> parse_revision(std::string_view text) {
  for (const Revision revision : kNewestFirst)
    if (to_string(revision) == text) return revision;
  return std::nullopt;
}

Json supported_versions() {
  Json list = Json::array();
  for (const Revision revision : kNewestFirst) list.push_back(std::string(to_string(revision)));
  return list;
}

Protocol::Protocol(Tools& tools, std::string version, std::chrono::milliseconds between_reports)
    : tools_(&tools),
      definitions_(tools.definitions()),
      version_(std::move(version)),
      between_reports_(between_reports) {}

Revision Protocol::revision_of(const Message& request, std::optional<Revision> agreed) const {
  const Json* meta = meta_of(request);
  const Json* version = meta == nullptr ? nullptr : find(*meta, kVersionKey);
  if (version != nullptr) {
    if (!version->is_string())
      throw ProtocolError(kInvalidParams, "\"" + std::string(kVersionKey) + "\" must be a string");
    const std::string text = version->get<std::string>();
    const auto revision = parse_revision(text);
    if (!revision || !is_stateless(*revision))
      throw ProtocolError(kUnsupportedVersion,
                          revision ? text + " is spoken after initialize, without a version in _meta"
                                   : "unsupported protocol version",
                          {{"supported", supported_versions()}, {"requested", text}});
    const Json* capabilities = find(*meta, kCapabilitiesKey);
    if (capabilities == nullptr || !capabilities->is_object())
      throw ProtocolError(kInvalidParams,
                          "_meta must have the object \"" + std::string(kCapabilitiesKey) + "\"");
    return *revision;
  }
  if (agreed && is_stateless(*agreed))
    throw ProtocolError(kInvalidParams, "_meta must have the string \"" + std::string(kVersionKey) + "\"");
  if (request.method == "initialize") {
    const auto wanted = parse_revision(text_param(request.params, "protocolVersion"));
    return wanted && !is_stateless(*wanted) ? *wanted : kNewestWithHandshake;
  }
  if (agreed) return *agreed;
  if (request.method == "ping") return kNewestWithHandshake;
  throw ProtocolError(kInvalidParams, "send initialize first, or name the protocol's version in _meta as \"" +
                                          std::string(kVersionKey) + "\"");
}

Json Protocol::server_info() const {
  return {{"name", "lectern"}, {"title", "Lectern"}, {"version", version_}};
}

std::optional<Json> Protocol::answer(const Message& request, Revision revision, const Send& send,
                                     const CancelToken& cancel) const {
  const auto failed = [&](int code, const std::string& message, const Json& data) {
    ProtocolError error(code, message, data);
    error.set_id(request.id);
    return error_message(error);
  };
  try {
    Json result = result_of(request, revision, send, cancel);
    if (is_stateless(revision)) {
      result["resultType"] = "complete";
      result["_meta"] = {{std::string(kServerInfoKey), server_info()}};
    }
    return result_message(request.id, std::move(result));
  } catch (const ProtocolError& error) {
    return failed(error.code(), error.what(), error.data());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) return std::nullopt;
    return failed(kInternalError, error.what(), nullptr);
  } catch (const std::exception&) {
    return failed(kInternalError, "internal error, please report it", nullptr);
  }
}

Json Protocol::result_of(const Message& request, Revision revision, const Send& send,
                         const CancelToken& cancel) const {
  const bool stateless = is_stateless(revision);
  const Json capabilities{{"tools", Json::object()}};
  if (request.method == "tools/call") return call_tool(request, send, cancel);
  if (request.method == "tools/list") {
    if (find(request.params, "cursor") != nullptr)
      throw ProtocolError(kInvalidParams, "\"cursor\" is none of ours: the list has one page");
    Json result{{"tools", definitions_}};
    if (stateless) result.update({{"ttlMs", kTimeToLiveMs}, {"cacheScope", "public"}});
    return result;
  }
  if (stateless && request.method == "server/discover")
    return {{"supportedVersions", supported_versions()},
            {"capabilities", capabilities},
            {"instructions", tools_->instructions()},
            {"ttlMs", kTimeToLiveMs},
            {"cacheScope", "private"}};  // the instructions name the collections
  if (!stateless && request.method == "initialize")
    return {{"protocolVersion", std::string(to_string(revision))},
            {"capabilities", capabilities},
            {"serverInfo", server_info()},
            {"instructions", tools_->instructions()}};
  if (!stateless && request.method == "ping") return Json::object();
  throw ProtocolError(kMethodNotFound,
                      "there is no method \"" + request.method + "\" in " + std::string(to_string(revision)));
}

Json Protocol::call_tool(const Message& request, const Send& send, const CancelToken& cancel) const {
  const std::string name = text_param(request.params, "name");
  const auto is_named = [&](const Json& tool) { return tool["name"] == name; };
  if (std::none_of(definitions_.begin(), definitions_.end(), is_named))
    throw ProtocolError(kInvalidParams, "there is no tool \"" + name + "\"; tools/list names them");
  const Json* arguments = find(request.params, "arguments");
  if (arguments != nullptr && !arguments->is_object())
    throw ProtocolError(kInvalidParams, "\"arguments\" must be an object");
  ProgressSender progress(request, send, between_reports_);

  ToolResult done;
  bool is_error = false;
  try {
    done = tools_->call(
        name, arguments == nullptr ? Json::object() : *arguments,
        [&](const std::string& message) { progress.report(message); }, cancel);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    done.text = error.what();  // the model is told, and may try again
    is_error = true;
  }
  Json result;
  result["content"] = Json::array({Json{{"type", "text"}, {"text", done.text}}});
  if (!is_error) result["structuredContent"] = std::move(done.structured);
  result["isError"] = is_error;
  return result;
}

}  // namespace lectern::mcp
