// Servers that end replies badly or never, that drip, and whose figures are none.
#include <atomic>
#include <chrono>
#include <thread>

#include "agent/remote_language_model.h"
#include "base/clock.h"
#include "tests/support/api_server.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

constexpr const char* kChat = "/v1/chat/completions";

// A server whose /chat/completions is `on_chat`, and a model of it. What sends without end asks is_over().
struct BadServer {
  ApiServer::Handler on_chat;
  HttpLimits limits{.connect_seconds = 2,
                    .first_byte_seconds = 1,
                    .idle_seconds = 0.5,
                    .closing_seconds = 0.3,
                    .whole_seconds = 20,
                    .attempts = 1};
  std::atomic<bool> over{false};
  ApiServer server{[this](const ApiRequest& request, const ApiConnection& connection) {
    if (request.path == kChat) return on_chat(request, connection);
    connection.reply(404, "{}");
  }};
  ~BadServer() { over = true; }

  // Sends `bytes` every 20 ms until the client has gone.
  void drip(const ApiConnection& connection, const std::string& bytes) const {
    while (!over && connection.send(bytes)) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  LmReply chat(int max_new_tokens = 100) {
    RemoteLanguageModel model({.url = server.url(), .model = "m-3b", .limits = limits}, CancelToken());
    LmRequest request;
    request.messages = {{LmMessage::Role::kUser, "Hi"}};
    request.max_new_tokens = max_new_tokens;
    return model.chat(request, {}, CancelToken());
  }
  void check_fails(const std::string& words) {
    const Stopwatch watch;
    CHECK_THROWS_WITH(chat(), Catch::Contains(server.url()) && Catch::Contains(words));
    CHECK(watch.seconds() < 5);
  }
};

Json last_piece(const std::string& text) {
  return {{"choices", {{{"delta", {{"content", text}}}, {"finish_reason", "stop"}}}}};
}

}  // namespace

TEST_CASE("a reply is complete with its finish_reason whatever follows") {
  BadServer bad;
  int new_tokens = 0;
  SECTION("the connection is cut") {
    bad.on_chat = [](const ApiRequest&, const ApiConnection& c) {
      c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n");
      c.event(last_piece("whole"));
    };
  }
  SECTION("neither end nor close") {
    bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.event(last_piece("whole"));
      while (!bad.over) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    };
  }
  SECTION("comments without end") {
    bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.event(last_piece("whole"));
      bad.drip(c, ": still here\n\n");
    };
  }
  SECTION("the usage and then events without end") {
    new_tokens = 7;
    bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.event(last_piece("whole"));
      bad.drip(c, "data: {\"usage\": {\"completion_tokens\": 7}}\n\n");
    };
  }
  SECTION("an error and what is no JSON") {
    bad.on_chat = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.event(last_piece("whole"));
      c.event({{"error", "out of memory"}});
      c.send("data: {{{\n\n");
    };
  }
  const Stopwatch watch;
  const LmReply reply = bad.chat();
  CHECK(reply.text == "whole");
  CHECK_FALSE(reply.truncated);
  if (new_tokens > 0) CHECK(reply.new_tokens == new_tokens);
  CHECK(watch.seconds() < 5);
  bad.over = true;
}

TEST_CASE("what is no part of a reply ends no silence") {
  BadServer bad;
  SECTION("comments before the reply") {
    bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      bad.drip(c, ": working\n\n");
    };
    bad.check_fails("nothing of a reply came for 1 seconds");
  }
  for (const std::string drop : {":\n\n", "x"}) {
    DYNAMIC_SECTION("comments or an event byte by byte in the middle: " << drop) {
      bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
        c.begin_stream();
        c.text("half");
        bad.drip(c, drop);
      };
      bad.check_fails("middle of the reply");
    }
  }
  SECTION("a whole reply byte by byte") {
    bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
      c.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{");
      bad.drip(c, "x");
    };
    bad.check_fails("nothing of a reply came");
  }
  bad.over = true;
}

TEST_CASE("comments before the reply do not hasten it") {
  BadServer bad;  // which may begin later than it may be silent in the middle
  bad.limits.first_byte_seconds = 10;
  bad.on_chat = [](const ApiRequest&, const ApiConnection& c) {
    c.begin_stream();
    for (int i = 0; i < 40; ++i) {
      c.send(": reading\n\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    c.event(last_piece("late"));
  };
  CHECK(bad.chat().text == "late");
}

TEST_CASE("a reply that goes on and on ends by its length in tokens and time") {
  BadServer bad;
  bad.limits.whole_seconds = 0.5;
  bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
    c.begin_stream();
    while (!bad.over && c.event({{"choices", Json::array()}}))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  CHECK_THROWS_WITH(bad.chat(1), Catch::Contains("not complete after 2 seconds"));
  bad.over = true;
}

TEST_CASE("odd forms of a reply are understood and one without text is an error") {
  BadServer bad;
  std::string sent;
  bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) { c.reply(200, sent); };
  const auto with = [&](const std::string& message) {
    sent = R"({"error": false, "choices": [{"message": )" + message + R"(, "finish_reason": "stop"}]})";
  };
  SECTION("an event stream by another spelling") {
    bad.on_chat = [](const ApiRequest&, const ApiConnection& c) {
      c.send("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n");
      c.event({{"error", nullptr}, {"choices", {{{"delta", {{"content", "good"}}}}}}});
      c.event({{"error", false}, {"choices", {{{"delta", Json::object()}, {"finish_reason", "stop"}}}}});
    };
    CHECK(bad.chat().text == "good");
  }
  SECTION("a list of parts") {
    with(R"({"content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "go"}, 7,
             {"type": "image_url"}, {"text": "od"}]})");
    CHECK(bad.chat().text == "good");
  }
  SECTION("what was thought before the reply, however it is cut") {
    const std::string reply =
        " \n<think>\nIs it <b>good</b>? </thin\n</think>\n\n<think></think><think>Yes.</think> \ngood "
        "<think>";
    for (size_t size = 1; size <= reply.size(); ++size) {
      bad.on_chat = [&](const ApiRequest&, const ApiConnection& c) {
        c.begin_stream();
        for (size_t at = 0; at < reply.size(); at += size) c.text(reply.substr(at, size));
        c.end_stream("stop");
      };
      CHECK(bad.chat().text == "good <think>");
    }
  }
  SECTION("a reply that only begins like a thought") {
    with(R"({"content": " <thi"})");
    CHECK(bad.chat().text == " <thi");
  }
  SECTION("nothing but thoughts") {
    for (const std::string content : {"<think>hm", "<think>hm</think>", "<think>hm</think> \\n"}) {
      with(R"({"content": ")" + content + R"("})");
      bad.check_fails("holds no text, only what it thought");
    }
  }
  SECTION("calls of tools") {
    with(R"({"content": null, "tool_calls": [{"function": {"name": "search", "arguments": "{}"}}]})");
    bad.check_fails("holds no text, only calls of tools");
  }
  SECTION("nothing") {
    for (const std::string message :
         {R"({"content": ""})", R"({"content": []})", R"({"content": {"text": 1}})", R"({"role": "x"})"}) {
      with(message);
      bad.check_fails("holds no text");
    }
  }
}

TEST_CASE("log-probabilities that cannot be are an error and never a score") {
  const auto score = [](const std::string& value, bool echoes) {
    const ApiServer server([&](const ApiRequest& request, const ApiConnection& connection) {
      if (request.path == "/v1/completions" && echoes) {
        const std::string prompt = request.json()["prompt"];
        std::string values, offsets;
        for (size_t i = 0; i < prompt.size(); ++i) {
          values += (i > 0 ? "," : "") + (i + 1 < prompt.size() ? std::string("-0.5") : value);
          offsets += (i > 0 ? "," : "") + std::to_string(i);
        }
        return connection.reply(200, R"({"choices": [{"logprobs": {"token_logprobs": [)" + values +
                                         R"(], "text_offset": [)" + offsets + "]}}]}");
      }
      if (request.path != kChat) return connection.reply(404, "{}");
      connection.reply(200, R"({"choices": [{"logprobs": {"content": [{"top_logprobs": [
          {"token": "no", "logprob": -0.5}, {"token": "yes", "logprob": )" +
                                value + "}]}]}}]}");
    });
    RemoteLanguageModel model({.url = server.url(), .model = "m-3b"}, CancelToken());
    LmRequest request;
    request.messages = {{LmMessage::Role::kUser, "x"}};
    const std::vector<LmRequest> requests(2, request);
    return model.score(requests, "yes", CancelToken());
  };
  for (const bool echoes : {true, false}) {
    for (const std::string value : {"1e300", "0.5", "null", "\"-0.5\"", "[]", "true"}) {
      INFO(value << (echoes ? ", echoed" : ""));
      CHECK_THROWS_WITH(score(value, echoes), Catch::Contains("log-probabilities are not usable"));
    }
    CHECK(score("1e-7", echoes).size() == 2);  // rounded
  }
  CHECK(score("1e-7", false).at(1) == 0);
  CHECK(score("-3e38", false).at(0) == Approx(-3e38));  // how llama.cpp writes a probability of zero
}

TEST_CASE("models of one name on two servers are told apart") {
  const ApiServer one([](const ApiRequest&, const ApiConnection& c) { c.reply(404, "{}"); });
  const ApiServer other([](const ApiRequest&, const ApiConnection& c) { c.reply(404, "{}"); });
  const auto fingerprint = [](const std::string& url, const std::string& name) {
    return RemoteLanguageModel({.url = url, .model = name}, CancelToken()).fingerprint();
  };
  CHECK(fingerprint(one.url(), "m") != fingerprint(other.url(), "m"));
  CHECK(fingerprint(one.url(), "m") != fingerprint(one.url(), "n"));
  CHECK(fingerprint(one.url(), "m") == fingerprint(one.url() + "/", "m"));
}
