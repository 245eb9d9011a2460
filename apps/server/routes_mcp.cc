// POST /mcp: the Model Context Protocol over "Streamable HTTP", one message a request. What the protocol
// means is in apps/mcp/; here are its headers and statuses.
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <random>

#include "apps/server/mcp_tools.h"
#include "apps/server/routes.h"

namespace lectern::server {
namespace {

constexpr char kSessionHeader[] = "Mcp-Session-Id";

// Calls that `notifications/cancelled` can name. Clients of the earlier revisions get a session id that means
// nothing but this: whose request ids are whose.
class SessionCalls {
 public:
  class Entry {
   public:
    Entry(SessionCalls* calls, std::string key, CancelToken cancel) : calls_(calls), key_(std::move(key)) {
      const std::lock_guard lock(calls_->mutex_);
      calls_->running_.insert_or_assign(key_, std::move(cancel));
    }
    ~Entry() {
      const std::lock_guard lock(calls_->mutex_);
      calls_->running_.erase(key_);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    SessionCalls* calls_;
    std::string key_;
  };

  static std::string key(const std::string& session, const Json& id) { return session + " " + dump_json(id); }
  void cancel(const std::string& key) {
    const std::lock_guard lock(mutex_);
    if (const auto at = running_.find(key); at != running_.end()) at->second.cancel();
  }

 private:
  std::mutex mutex_;
  std::map<std::string, CancelToken> running_;
};

struct Endpoint {
  Endpoint(Service& service, const std::string& version) : tools(service), protocol(tools, version) {}
  ServiceTools tools;
  mcp::Protocol protocol;
  SessionCalls calls;
};

std::string new_session_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    char part[9];
    std::snprintf(part, sizeof(part), "%08x", static_cast<unsigned>(random()));
    id += part;
  }
  return id;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// "=?base64?...?=" stands for text that a header cannot hold; other values for themselves. "" when broken.
std::string header_text(std::string value) {
  constexpr std::string_view kBegin = "=?base64?", kEnd = "?=";
  if (!value.starts_with(kBegin) || !value.ends_with(kEnd) || value.size() < kBegin.size() + kEnd.size())
    return value;
  value = value.substr(kBegin.size(), value.size() - kBegin.size() - kEnd.size());
  while (value.ends_with('=')) value.pop_back();
  std::string text;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : value) {
    const int six = base64_value(c);
    if (six < 0) return "";
    bits = bits << 6 | static_cast<uint32_t>(six);
    n_bits += 6;
    if (n_bits >= 8) text.push_back(static_cast<char>(bits >> (n_bits -= 8) & 0xff));
  }
  return text;
}

[[noreturn]] void mismatch(const std::string& what) {
  throw mcp::ProtocolError(mcp::kHeaderMismatch, what);
}

// What the headers say of how a request is spoken. Throws ProtocolError.
std::optional<mcp::Revision> agreed_revision(const Call& call, const mcp::Message& message) {
  const std::string header = call.request.get_header_value("MCP-Protocol-Version");
  const auto meta = message.params.find("_meta");
  const bool is_stateless_body =
      meta != message.params.end() && meta->is_object() && meta->contains(std::string(mcp::kVersionKey));
  if (is_stateless_body) {
    if (header.empty() || (*meta)[std::string(mcp::kVersionKey)] != header)
      mismatch("the header MCP-Protocol-Version must be there and say what _meta says");
    return std::nullopt;
  }
  if (header.empty()) {
    if (message.method == "initialize") return std::nullopt;
    mismatch("the header MCP-Protocol-Version is missing");
  }
  const auto revision = mcp::parse_revision(header);
  if (!revision)
    throw mcp::ProtocolError(mcp::kUnsupportedVersion, "unsupported protocol version",
                             {{"supported", mcp::supported_versions()}, {"requested", header}});
  return revision;
}

void check_stateless_headers(const Call& call, const mcp::Message& message) {
  if (call.request.get_header_value("Mcp-Method") != message.method)
    mismatch("the header Mcp-Method must be there and say what \"method\" says");
  if (message.method != "tools/call") return;
  const auto name = message.params.find("name");
  if (name != message.params.end() && name->is_string() &&
      header_text(call.request.get_header_value("Mcp-Name")) != name->get<std::string>())
    mismatch("the header Mcp-Name must be there and say what params.name says");
}

int status_of(const Json& reply, bool stateless) {
  if (!reply.contains("error")) return 200;
  const int code = reply["error"]["code"].get<int>();
  if (code == mcp::kMethodNotFound) return stateless ? 404 : 200;
  return code == mcp::kInternalError || !stateless ? 200 : 400;
}

void answer_request(Call& call, const std::shared_ptr<Endpoint>& endpoint, const mcp::Message& message) {
  const mcp::Revision revision = endpoint->protocol.revision_of(message, agreed_revision(call, message));
  const bool stateless = mcp::is_stateless(revision);
  if (stateless) check_stateless_headers(call, message);
  if (message.method == "initialize" && !stateless)
    call.response.set_header(kSessionHeader, new_session_id());

  const std::string session = stateless ? "" : call.request.get_header_value(kSessionHeader);
  const CancelToken cancel = call.cancel;
  const auto answer = [=](const mcp::Protocol::Send& send) {
    std::optional<SessionCalls::Entry> entry;
    if (!session.empty()) entry.emplace(&endpoint->calls, SessionCalls::key(session, message.id), cancel);
    return endpoint->protocol.answer(message, revision, send, cancel);
  };
  const std::string accepted = call.request.get_header_value("Accept");
  if (message.method == "tools/call" && accepted.find("text/event-stream") != std::string::npos) {
    call.response.set_header("X-Accel-Buffering", "no");
    return stream_events(call, [answer](EventWriter& writer) {
      const auto send = [&](const Json& json) { writer.event("message", json); };
      if (const auto reply = answer(send)) send(*reply);
    });
  }
  const auto reply = answer([](const Json&) {});
  if (!reply) throw Error(ErrorCode::kCancelled, "cancelled");
  call.reply(*reply, status_of(*reply, stateless));
}

void take_message(Call& call, const std::shared_ptr<Endpoint>& endpoint) {
  mcp::Message message;
  try {
    message = mcp::parse_message(call.request.body);
    if (message.kind == mcp::Message::Kind::kRequest) return answer_request(call, endpoint, message);
    const std::string session = call.request.get_header_value(kSessionHeader);
    const auto id = message.params.find("requestId");
    if (message.method == "notifications/cancelled" && !session.empty() && id != message.params.end())
      endpoint->calls.cancel(SessionCalls::key(session, *id));
    call.response.status = 202;
  } catch (mcp::ProtocolError& error) {
    if (!message.id.is_null()) error.set_id(message.id);
    call.reply(mcp::error_message(error), 400);
  }
}

}  // namespace

void add_mcp_routes(Router& router, Service& service, const std::string& version) {
  const auto endpoint = std::make_shared<Endpoint>(service, version);
  router.post_text("/mcp", [endpoint](Call& call) { take_message(call, endpoint); });
}

}  // namespace lectern::server
