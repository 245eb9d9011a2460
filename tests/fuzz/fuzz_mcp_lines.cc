// Any bytes on the input of `lectern mcp`: every line gets a reply of one line, or none.
#include <cstdlib>

#include "apps/mcp/lines.h"
#include "apps/mcp/protocol.h"

using namespace lectern;
using namespace lectern::mcp;

namespace {

class NoTools : public Tools {
 public:
  Json definitions() const override { return Json::array({Json{{"name", "search"}}}); }
  std::string instructions() const override { return ""; }
  ToolResult call(const std::string&, const Json& arguments, const Report& report,
                  const CancelToken&) override {
    report("called");
    return {"", arguments};
  }
};

void check_reply(const Json& reply) {
  if (reply["jsonrpc"] != "2.0" || reply.contains("result") == reply.contains("error")) std::abort();
  const std::string line = dump_json(reply);
  if (line.find('\n') != std::string::npos) std::abort();
  // A reply is a message itself, unless what was echoed is deeper or larger than what is read.
  parse_json(dump_json(reply["id"]), "the id");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static NoTools tools;
  static const Protocol protocol(tools, "1");
  std::optional<Revision> agreed;
  LineCutter lines(4096);
  const auto on_line = [&](std::optional<std::string_view> line) {
    if (!line) return;
    try {
      const Message message = parse_message(*line);
      if (message.kind != Message::Kind::kRequest) return;
      const Revision revision = protocol.revision_of(message, agreed);
      if (message.method == "initialize" && !is_stateless(revision)) agreed = revision;
      const auto send = [](const Json& json) {
        if (json.contains("id") || !json.contains("method")) std::abort();
      };
      const auto reply = protocol.answer(message, revision, send, CancelToken());
      if (!reply || (*reply)["id"] != message.id) std::abort();
      check_reply(*reply);
    } catch (const ProtocolError& error) {
      check_reply(error_message(error));
    }
  };
  // In two pieces, cut where the first byte says.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t middle = size == 0 ? 0 : data[0] % (size + 1);
  lines.feed(text.substr(0, middle), on_line);
  lines.feed(text.substr(middle), on_line);
  lines.finish(on_line);
  return 0;
}
