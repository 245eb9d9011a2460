// The transport over two pipes, whose other ends the test holds.
#include "apps/mcp/stdio.h"

#include <unistd.h>

#include <string>

#include "base/file_descriptor.h"
#include "tests/support/catch.h"
#include "tests/unit/mcp/echo_tools.h"

using namespace lectern;
using namespace lectern::mcp;
using lectern::test::EchoTools;

namespace {

class Client {
 public:
  explicit Client(StdioLimits limits = {}) {
    int there[2], back[2];
    REQUIRE(::pipe(there) == 0);
    REQUIRE(::pipe(back) == 0);
    input_.fd = there[1];
    output_.fd = back[0];
    server_ = std::thread([this, limits, in = there[0], out = back[1]] {
      const FileDescriptor input(in), output(out);
      serve_stdio(protocol_, in, out, limits, stop, [] {});
    });
  }
  ~Client() { end(); }

  void write(const std::string& bytes) {
    REQUIRE(::write(input_.fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  void call(int id, const std::string& arguments) {
    write(R"({"jsonrpc":"2.0","id":)" + std::to_string(id) +
          R"(,"method":"tools/call","params":{"name":"echo","arguments":)" + arguments + "}}\n");
  }
  // The next line; null when the server has ended.
  Json read() {
    std::string line;
    for (char c = 0; ::read(output_.fd, &c, 1) == 1 && c != '\n';) line.push_back(c);
    return line.empty() ? Json(nullptr) : parse_json(line, "a line");
  }
  void start() {
    write(R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}})"
          "\n");
    CHECK(read()["result"]["protocolVersion"] == "2025-11-25");
  }
  void end_input() {
    if (input_.fd >= 0) ::close(input_.fd);
    input_.fd = -1;
  }
  void end() {
    end_input();
    if (server_.joinable()) server_.join();
  }

  CancelToken stop;

 private:
  EchoTools tools_;
  Protocol protocol_{tools_, "1"};
  FileDescriptor input_{-1}, output_{-1};
  std::thread server_;
};

}  // namespace

TEST_CASE("a slow call keeps nobody waiting and is cancelled without a reply") {
  Client client;
  client.start();
  client.call(1, R"({"wait":true})");
  client.call(2, R"({"say":"quick"})");
  CHECK(client.read()["id"] == 2);
  client.write(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})"
               "\n");
  client.write(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}})"
               "\n");
  client.call(3, R"({"say":"after"})");
  CHECK(client.read()["id"] == 3);
  client.end();
  CHECK(client.read().is_null());
}

TEST_CASE("the end of the input ends what runs and keeps what is finished") {
  Client client;
  client.start();
  client.call(1, R"({"wait":true})");
  client.call(2, R"({"say":"x"})");
  client.end();
  CHECK(client.read()["id"] == 2);
  CHECK(client.read().is_null());
}

TEST_CASE("stop ends the server though the input stays open") {
  Client client;
  client.start();
  client.call(1, R"({"wait":true})");
  client.stop.cancel();
  CHECK(client.read().is_null());
}

TEST_CASE("bad lines are answered and the next is read") {
  Client client({.max_line_bytes = 200});
  client.write("nonsense\n\n" + std::string(500, 'x') + "\n[]\n" +
               R"({"jsonrpc":"2.0","id":5,"method":"ping"})" + "\n");
  CHECK(client.read()["error"]["code"] == kParseError);
  CHECK(client.read()["error"]["code"] == kInvalidRequest);
  CHECK(client.read()["error"]["code"] == kInvalidRequest);
  CHECK(client.read()["id"] == 5);
}

TEST_CASE("ids that are in use and calls beyond the limit are refused") {
  Client client({.max_calls = 2});
  client.start();
  client.call(1, R"({"wait":true})");
  client.call(1, R"({"say":"x"})");
  CHECK(client.read()["error"]["code"] == kInvalidRequest);
  client.call(2, R"({"wait":true})");
  client.call(3, R"({"say":"x"})");
  CHECK(client.read()["error"]["code"] == kInternalError);
}
