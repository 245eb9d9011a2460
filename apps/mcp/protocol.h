// The Model Context Protocol, without a transport: requests in, replies out. Three revisions: 2026-07-28,
// which keeps no state and says in every request how it is spoken, and the two before it, which begin with
// `initialize`. Knows no documents: what the tools do is behind an interface. Thread-safe when the tools are.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apps/mcp/message.h"
#include "base/cancel.h"

namespace lectern::mcp {

enum class Revision { k2025_06_18, k2025_11_25, k2026_07_28 };

std::string_view to_string(Revision revision);
std::optional<Revision> parse_revision(std::string_view text);
Json supported_versions();  // newest first
// Every request carries its revision; there is no `initialize`.
inline bool is_stateless(Revision revision) {
  return revision == Revision::k2026_07_28;
}
inline constexpr std::string_view kVersionKey = "io.modelcontextprotocol/protocolVersion";  // of _meta

struct ToolResult {
  std::string text;  // for people and models
  Json structured;   // the same for programs, by the tool's output schema
};

// How far a call is, in a line for people.
using Report = std::function<void(const std::string& message)>;

class Tools {
 public:
  virtual ~Tools() = default;
  virtual Json definitions() const = 0;          // an array of the protocol's Tool
  virtual std::string instructions() const = 0;  // for the model that uses them
  // Of one of the definitions. Throws Error for what went wrong, which the model is told.
  virtual ToolResult call(const std::string& name, const Json& arguments, const Report& report,
                          const CancelToken& cancel) = 0;
};

class Protocol {
 public:
  using Send = std::function<void(const Json& message)>;

  // Keeps a reference to the tools. `version`: of this program. Reports of one call are at least so far
  // apart.
  Protocol(Tools& tools, std::string version,
           std::chrono::milliseconds between_reports = std::chrono::milliseconds(100));

  // How a request is spoken: as its _meta says, as `initialize` asks, or else as was agreed before. Throws
  // ProtocolError when that is none of ours, or nothing says it.
  Revision revision_of(const Message& request, std::optional<Revision> agreed) const;

  // The reply, after the notifications that `send` gets on the same thread. None when the call was cancelled.
  std::optional<Json> answer(const Message& request, Revision revision, const Send& send,
                             const CancelToken& cancel) const;

 private:
  Json result_of(const Message& request, Revision revision, const Send& send,
                 const CancelToken& cancel) const;
  Json call_tool(const Message& request, const Send& send, const CancelToken& cancel) const;
  Json server_info() const;

  Tools* tools_;
  Json definitions_;
  std::string version_;
  std::chrono::milliseconds between_reports_;
};

}  // namespace lectern::mcp
