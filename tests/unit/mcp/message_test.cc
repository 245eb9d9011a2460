#include "apps/mcp/message.h"

#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::mcp;

namespace {

ProtocolError error_of(const std::string& text) {
  try {
    parse_message(text);
  } catch (const ProtocolError& error) {
    return error;
  }
  FAIL("taken: " + text);
  return {0, ""};
}

}  // namespace

TEST_CASE("requests and notifications and responses are told apart") {
  const Message request = parse_message(R"({"jsonrpc":"2.0","id":7,"method":"ping"})");
  CHECK(request.kind == Message::Kind::kRequest);
  CHECK(request.id == 7);
  CHECK(request.method == "ping");
  CHECK(request.params == Json::object());
  CHECK(parse_message(R"({"jsonrpc":"2.0","id":"a","method":"x","params":{"b":1}})").params["b"] == 1);
  CHECK(parse_message(R"({"jsonrpc":"2.0","method":"x"})").kind == Message::Kind::kNotification);
  CHECK(parse_message(R"({"jsonrpc":"2.0","id":1,"result":{}})").kind == Message::Kind::kResponse);
}

TEST_CASE("what is no message is refused with the code of JSON-RPC") {
  CHECK(error_of("{").code() == kParseError);
  CHECK(error_of("").code() == kParseError);
  CHECK(error_of(std::string(200, '[')).code() == kParseError);
  CHECK(error_of(R"([{"jsonrpc":"2.0","id":1,"method":"ping"}])").code() == kInvalidRequest);
  CHECK(error_of("3").code() == kInvalidRequest);
  CHECK(error_of(R"({"jsonrpc":"1.0","id":1,"method":"ping"})").code() == kInvalidRequest);
  CHECK(error_of(R"({"jsonrpc":"2.0","id":1,"method":3})").code() == kInvalidRequest);
  CHECK(error_of(R"({"jsonrpc":"2.0","id":1})").code() == kInvalidRequest);
  CHECK(error_of(R"({"jsonrpc":"2.0","id":1,"method":"x","params":[1]})").code() == kInvalidParams);
  for (const char* id : {"null", "1.5", "true", "{}", "[1]"}) {
    const ProtocolError error = error_of(R"({"jsonrpc":"2.0","method":"ping","id":)" + std::string(id) + "}");
    CHECK(error.code() == kInvalidRequest);
    CHECK(error.id().is_null());
  }
}

TEST_CASE("an error carries the id when it could be read") {
  const Json reply = error_message(error_of(R"({"jsonrpc":"2.0","id":"q","method":"x","params":3})"));
  CHECK(reply["id"] == "q");
  CHECK(reply["error"]["code"] == kInvalidParams);
  CHECK(error_message(error_of("{"))["id"].is_null());
}

TEST_CASE("objects of very many keys are refused before they are built") {
  std::string text = R"({"jsonrpc":"2.0","id":1,"method":"x","params":{)";
  for (int i = 0; i < 60'000; ++i) text += "\"" + std::to_string(i) + "\":0,";
  text += "\"z\":0}}";
  CHECK(error_of(text).code() == kParseError);
}
