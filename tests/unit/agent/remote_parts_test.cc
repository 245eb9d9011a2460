// The parts of the remote model that need no server.
#include "agent/remote_reply.h"
#include "agent/remote_server.h"
#include "agent/server_sent_events.h"
#include "agent/token_estimate.h"
#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("server-sent events are the same however they are cut") {
  const std::string stream =
      "\xEF\xBB\xBF"
      "data: one\n\n: comment\nevent: x\ndata:two\r\ndata:  lines\r\n\r\nid: 7\n\ndata\rdata: three\r\rdata: "
      "last";
  const std::vector<std::string> expected = {"one", "two\n lines", "three", "last"};
  for (size_t size = 1; size <= stream.size(); ++size) {
    INFO(size);
    ServerSentEvents events(100);
    std::vector<std::string> seen;
    const auto keep = [&](std::string_view data) {
      seen.emplace_back(data);
      return true;
    };
    for (size_t i = 0; i < stream.size(); i += size) CHECK(events.feed(stream.substr(i, size), keep));
    CHECK(events.finish(keep));
    CHECK(seen == expected);
  }
}

TEST_CASE("server-sent events stop on request and are bounded") {
  ServerSentEvents events(20);
  int n = 0;
  CHECK_FALSE(events.feed("data: 1\n\ndata: 2\n\n", [&](std::string_view) { return ++n < 1; }));
  CHECK(n == 1);
  const auto ignore = [](std::string_view) { return true; };
  ServerSentEvents one_line(20);
  CHECK_THROWS_AS(one_line.feed(std::string(21, 'x'), ignore), Error);
  ServerSentEvents many_lines(20);
  CHECK_THROWS_AS(many_lines.feed("data: 1234\ndata: 1234\ndata: 1234\ndata: 1234\ndata: 12\n", ignore),
                  Error);
}

TEST_CASE("a token estimate grows with the text and knows the scripts") {
  CHECK(estimate_tokens("") == 0);
  CHECK(estimate_tokens("a cat") == 2);
  CHECK(estimate_tokens("internationalisation") == 7);
  CHECK(estimate_tokens("2024") == 4);
  CHECK(estimate_tokens("拙政园始建") == 8);
  CHECK(estimate_tokens("\xF0\x9F\x98\x80") == 4);
  CHECK(estimate_tokens(std::string(1000, ' ')) == 250);
  CHECK(estimate_tokens(std::string(1000, '\xFF')) >= 1000);
}

TEST_CASE("billions are read from a model's name") {
  CHECK(billions_in_name("qwen2.5-coder-0.5b-instruct") == 0.5);
  CHECK(billions_in_name("Qwen2.5-72B-Instruct") == 72);
  CHECK(billions_in_name("llama3:8b") == 8);
  CHECK(billions_in_name("gpt-4o-mini") == 0);
  CHECK(billions_in_name("mixtral-8x7b") == 7);
  CHECK(billions_in_name("b-123bit-4bpw") == 0);
}

TEST_CASE("of choices that begin alike the longest is named") {
  CHECK(named_choice({"no", "not sure"}, "Not sure, really") == "not sure");
  CHECK(named_choice({"no", "not sure"}, "nothing").empty());
  CHECK(named_choice({"A", "B"}, "\"B\"") == "B");
  CHECK(named_choice({"A", "B"}, "").empty());
}
