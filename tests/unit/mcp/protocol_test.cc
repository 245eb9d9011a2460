#include "apps/mcp/protocol.h"

#include "base/error.h"
#include "tests/support/catch.h"
#include "tests/unit/mcp/echo_tools.h"

using namespace lectern;
using namespace lectern::mcp;
using lectern::test::EchoTools;

namespace {

constexpr char kMeta[] =
    R"({"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}})";

struct World {
  EchoTools tools;
  Protocol protocol{tools, "1.2", std::chrono::milliseconds(0)};
  std::vector<Json> sent;

  Json ask(const std::string& method, const std::string& params, std::optional<Revision> agreed = {}) {
    const Message request =
        parse_message(R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}");
    try {
      const auto reply = protocol.answer(request, protocol.revision_of(request, agreed),
                                         [this](const Json& message) { sent.push_back(message); }, {});
      return reply ? *reply : Json(nullptr);
    } catch (const ProtocolError& error) {
      return error_message(error);
    }
  }
  int code(const std::string& method, const std::string& params, std::optional<Revision> agreed = {}) {
    const Json reply = ask(method, params, agreed);
    return reply.contains("error") ? reply["error"]["code"].get<int>() : 0;
  }
};

std::string with_meta(const std::string& rest) {
  return R"({"_meta":)" + std::string(kMeta) + (rest.empty() ? "" : ",") + rest + "}";
}

}  // namespace

TEST_CASE("initialize agrees on a revision that both speak") {
  World world;
  const auto agreed = [&](const std::string& wanted) {
    return world.ask("initialize", R"({"protocolVersion":")" + wanted + R"(","capabilities":{}})")["result"];
  };
  CHECK(agreed("2025-06-18")["protocolVersion"] == "2025-06-18");
  CHECK(agreed("2025-11-25")["protocolVersion"] == "2025-11-25");
  CHECK(agreed("2024-11-05")["protocolVersion"] == "2025-11-25");
  CHECK(agreed("2026-07-28")["protocolVersion"] == "2025-11-25");  // it has no initialize
  const Json result = agreed("2025-11-25");
  CHECK(result["capabilities"] == Json{{"tools", Json::object()}});
  CHECK(result["serverInfo"]["name"] == "lectern");
  CHECK(result["serverInfo"]["version"] == "1.2");
  CHECK_FALSE(result.contains("resultType"));
  CHECK(world.code("initialize", "{}") == kInvalidParams);
}

TEST_CASE("the earlier revisions are spoken after initialize only") {
  World world;
  CHECK(world.code("tools/list", "{}") == kInvalidParams);
  CHECK(world.ask("ping", "{}")["result"] == Json::object());
  for (const Revision revision : {Revision::k2025_06_18, Revision::k2025_11_25}) {
    const Json list = world.ask("tools/list", "{}", revision)["result"];
    CHECK(list["tools"].size() == 1);
    CHECK_FALSE(list.contains("ttlMs"));
    CHECK(world.code("server/discover", "{}", revision) == kMethodNotFound);
    CHECK(world.code("resources/list", "{}", revision) == kMethodNotFound);
    CHECK(world.code("tools/list", R"({"cursor":"x"})", revision) == kInvalidParams);
  }
}

TEST_CASE("revision 2026-07-28 keeps no state and says in each request how it is spoken") {
  World world;
  const Json discovered = world.ask("server/discover", with_meta(""))["result"];
  CHECK(discovered["supportedVersions"] == Json({"2026-07-28", "2025-11-25", "2025-06-18"}));
  CHECK(discovered["resultType"] == "complete");
  CHECK(discovered["ttlMs"].get<int>() >= 0);
  CHECK(discovered["cacheScope"] == "private");
  CHECK(discovered["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == "1.2");
  const Json list = world.ask("tools/list", with_meta(""))["result"];
  CHECK(list["tools"][0]["name"] == "echo");
  CHECK(list["cacheScope"] == "public");
  CHECK(list["resultType"] == "complete");
  // Also beside a session of an earlier one, which it takes nothing from.
  CHECK(world.ask("tools/list", with_meta(""), Revision::k2025_06_18)["result"].contains("resultType"));
  CHECK(world.code("ping", with_meta("")) == kMethodNotFound);
  CHECK(world.code("initialize", with_meta(R"("protocolVersion":"2025-11-25")")) == kMethodNotFound);
}

TEST_CASE("a version that is not spoken is refused with those that are") {
  World world;
  for (const char* version : {"1900-01-01", "2025-11-25"}) {
    const Json reply = world.ask("tools/list", R"({"_meta":{"io.modelcontextprotocol/protocolVersion":")" +
                                                   std::string(version) + R"("}})");
    CHECK(reply["error"]["code"] == kUnsupportedVersion);
    CHECK(reply["error"]["data"]["requested"] == version);
    CHECK(reply["error"]["data"]["supported"].size() == 3);
  }
  CHECK(world.code("tools/list", R"({"_meta":{"io.modelcontextprotocol/protocolVersion":7}})") ==
        kInvalidParams);
  CHECK(world.code("tools/list", R"({"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}})") ==
        kInvalidParams);  // the client's capabilities are missing
  CHECK(world.code("tools/list", R"({"_meta":3})") == kInvalidParams);
  CHECK(world.code("tools/list", "{}", Revision::k2026_07_28) == kInvalidParams);  // only a header says it
}

TEST_CASE("a tool's failure is a result and a wrong call is an error") {
  World world;
  const auto call = [&](const std::string& rest) { return world.ask("tools/call", with_meta(rest)); };
  const Json good = call(R"("name":"echo","arguments":{"say":"hello"})")["result"];
  CHECK(good["content"] == Json::array({Json{{"type", "text"}, {"text", "hello"}}}));
  CHECK(good["structuredContent"] == Json{{"said", "hello"}});
  CHECK(good["isError"] == false);
  const Json failed = call(R"("name":"echo","arguments":{"fail":true})")["result"];
  CHECK(failed["isError"] == true);
  CHECK(failed["content"][0]["text"] == "it failed");
  CHECK_FALSE(failed.contains("structuredContent"));
  CHECK(world.code("tools/call", with_meta(R"("name":"other")")) == kInvalidParams);
  CHECK(world.code("tools/call", with_meta(R"("arguments":{})")) == kInvalidParams);
  CHECK(world.code("tools/call", with_meta(R"("name":"echo","arguments":[])")) == kInvalidParams);
  CHECK(world.code("tools/call", with_meta(R"("name":"echo","arguments":{"bug":true})")) == kInternalError);
}

TEST_CASE("progress goes to who gave a token and always grows") {
  World world;
  const std::string call = R"("name":"echo","arguments":{"reports":3,"say":"x"})";
  world.ask("tools/call", with_meta(call));
  CHECK(world.sent.empty());
  world.ask("tools/call", R"({"_meta":{"progressToken":"t"},)" + call + "}", Revision::k2025_11_25);
  REQUIRE(world.sent.size() == 3);
  int64_t last = 0;
  for (const Json& message : world.sent) {
    CHECK(message["method"] == "notifications/progress");
    CHECK(message["params"]["progressToken"] == "t");
    CHECK(message["params"]["progress"].get<int64_t>() > last);
    last = message["params"]["progress"].get<int64_t>();
  }
  CHECK(world.code("tools/call", R"({"_meta":{"progressToken":[]},"name":"echo"})", Revision::k2025_11_25) ==
        kInvalidParams);
}

TEST_CASE("a cancelled call has no reply") {
  World world;
  const Message request = parse_message(
      R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"wait":true}}})");
  const CancelToken cancel;
  cancel.cancel();
  CHECK_FALSE(world.protocol.answer(request, Revision::k2025_11_25, {}, cancel).has_value());
}
