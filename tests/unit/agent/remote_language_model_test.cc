#include "agent/remote_language_model.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "tests/support/api_server.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kKey = "sk-very-secret";

HttpLimits quick() {
  return {.connect_seconds = 2,
          .first_byte_seconds = 5,
          .idle_seconds = 0.3,
          .max_reply_bytes = 4 << 20,
          .first_pause_seconds = 0.01,
          .longest_pause_seconds = 2};
}

// A server whose /chat/completions is `on_chat`, and which has nothing else.
ApiServer::Handler only_chat(ApiServer::Handler on_chat) {
  return [on_chat = std::move(on_chat)](const ApiRequest& request, const ApiConnection& connection) {
    if (request.path == kChat) return on_chat(request, connection);
    connection.reply(404, "{}");
  };
}

RemoteLanguageModel model_of(const ApiServer& server) {
  return {{.url = server.url(), .model = "m-3b", .api_key = kKey, .context_tokens = 1000, .limits = quick()},
          CancelToken()};
}

LmRequest question(const std::string& text = "Hi") {
  LmRequest request;
  request.messages = {{LmMessage::Role::kSystem, "Be brief."}, {LmMessage::Role::kUser, text}};
  request.max_new_tokens = 100;
  return request;
}

std::string reply_to(RemoteLanguageModel& model, const LmRequest& request) {
  return model.chat(request, {}, CancelToken()).text;
}

// The error of a chat, which never holds the key and always names the URL.
Error error_of(RemoteLanguageModel& model, const ApiServer& server, const LmRequest& request = question()) {
  try {
    reply_to(model, request);
  } catch (const Error& error) {
    INFO(error.what());
    CHECK_THAT(error.what(), Catch::Contains(server.url()));
    CHECK_THAT(error.what(), !Catch::Contains(kKey));
    CHECK(std::string(error.what()).size() < 700);
    return error;
  }
  FAIL("no error");
  return Error(ErrorCode::kIo, "");
}

Json json_format(const ApiRequest& request) {
  const Json body = request.json();
  return body.contains("response_format") ? body["response_format"]["type"] : Json("none");
}

}  // namespace

TEST_CASE("a remote reply streams, with the request in the protocol's terms") {
  const ApiServer server(only_chat([](const ApiRequest&, const ApiConnection& connection) {
    connection.begin_stream();
    connection.send(": a comment\r\n\r\n");
    connection.text("Good");
    connection.text(" d\xC3\xA4y");
    connection.event({{"choices", Json::array()},
                      {"usage",
                       {{"prompt_tokens", 11},
                        {"completion_tokens", 2},
                        {"prompt_tokens_details", {{"cached_tokens", 7}}}}}});
    connection.end_stream("length");
  }));
  RemoteLanguageModel model = model_of(server);
  LmRequest request = question();
  request.stop = {"\n"};
  request.seed = 7;
  std::vector<std::string> pieces;
  const LmReply reply = model.chat(
      request,
      [&](std::string_view text) {
        pieces.emplace_back(text);
        return true;
      },
      CancelToken());
  CHECK(reply.text == "Good d\xC3\xA4y");
  CHECK(pieces == std::vector<std::string>{"Good", " d\xC3\xA4y"});
  CHECK(reply.truncated);
  CHECK(reply.prompt_tokens == 11);
  CHECK(reply.cached_prompt_tokens == 7);
  CHECK(reply.new_tokens == 2);
  CHECK(model.billion_parameters() == 3);

  const ApiRequest sent = server.requests(kChat).at(0);
  CHECK_THAT(sent.head, Catch::Contains("Authorization: Bearer sk-very-secret\r\n"));
  const Json body = sent.json();
  CHECK(body["model"] == "m-3b");
  CHECK(body["stream"] == true);
  CHECK(body["max_tokens"] == 100);
  CHECK(body["seed"] == 7);
  CHECK(body["stop"] == Json{"\n"});
  CHECK(body["messages"][1] == Json{{"role", "user"}, {"content", "Hi"}});
}

TEST_CASE("a server that does not stream is understood") {
  const ApiServer server(only_chat([](const ApiRequest&, const ApiConnection& connection) {
    connection.reply(200, R"({"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]})");
  }));
  RemoteLanguageModel model = model_of(server);
  CHECK(reply_to(model, question()) == "whole");
}

TEST_CASE("a remote reply stops when the reader wants no more, and within a moment when cancelled") {
  const ApiServer server(only_chat([](const ApiRequest&, const ApiConnection& connection) {
    connection.begin_stream();
    for (int i = 0; i < 500 && connection.text("word "); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }));
  RemoteLanguageModel model = model_of(server);
  int n = 0;
  const LmReply reply = model.chat(
      question(), [&](std::string_view) { return ++n < 3; }, CancelToken());
  CHECK(reply.text == "word word word ");

  const CancelToken cancel;
  const auto cancel_soon = [&](std::string_view) {
    cancel.cancel();
    return true;
  };
  const Stopwatch watch;
  try {
    model.chat(question(), cancel_soon, cancel);
    FAIL("not cancelled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCancelled);
  }
  CHECK(watch.seconds() < 2);
}

TEST_CASE("a request is cancelled while the server is silent") {
  std::atomic<bool> done{false};
  const ApiServer server(only_chat([&](const ApiRequest&, const ApiConnection&) {
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }));
  RemoteLanguageModel model = model_of(server);
  const CancelToken cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel.cancel();
  });
  const Stopwatch watch;
  CHECK_THROWS_AS(model.chat(question(), {}, cancel), Error);
  CHECK(watch.seconds() < 2);
  canceller.join();
  done = true;
}

TEST_CASE("JSON is asked for in the strictest form a server takes, which is remembered") {
  LmRequest request = question();
  request.json_schema = Json{{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}};

  SECTION("json_schema") {
    const ApiServer server(only_chat(
        [](const ApiRequest&, const ApiConnection& connection) { connection.stream(R"({"a": 1})"); }));
    RemoteLanguageModel model = model_of(server);
    CHECK(reply_to(model, request) == R"({"a":1})");
    const Json body = server.requests(kChat).at(0).json();
    CHECK(body["response_format"]["json_schema"]["schema"] == *request.json_schema);
    CHECK(body["messages"][1]["content"] == "Hi");
  }
  SECTION("json_object, then words") {
    for (const std::string takes : {"json_object", "none"}) {
      const ApiServer server(only_chat([&](const ApiRequest& sent, const ApiConnection& connection) {
        if (json_format(sent) != takes) return connection.reply(takes == "none" ? 400 : 500, "{}");
        connection.stream("Sure:\n```json\n{\"a\": 1}\n```");
      }));
      RemoteLanguageModel model = model_of(server);
      CHECK(reply_to(model, request) == R"({"a":1})");
      const size_t tries = server.requests(kChat).size();
      CHECK(tries == (takes == "none" ? 3 : 2));
      CHECK(reply_to(model, request) == R"({"a":1})");
      CHECK(server.requests(kChat).size() == tries + 1);
      CHECK_THAT(server.requests(kChat).back().json()["messages"][1]["content"].get<std::string>(),
                 Catch::Contains("JSON schema"));
    }
  }
  SECTION("a reply of another form is asked for once more") {
    const ApiServer server(only_chat([](const ApiRequest& sent, const ApiConnection& connection) {
      connection.stream(sent.json()["messages"].size() > 2 ? R"({"a": 2})" : "I would rather not.");
    }));
    RemoteLanguageModel model = model_of(server);
    CHECK(reply_to(model, request) == R"({"a":2})");
  }
  SECTION("brackets without end are no JSON, and no crash") {
    const ApiServer server(only_chat([](const ApiRequest&, const ApiConnection& connection) {
      connection.stream("{" + std::string(50'000, '[') + "}");
    }));
    RemoteLanguageModel model = model_of(server);
    request.max_new_tokens = 2000;
    CHECK_NOTHROW(reply_to(model, request));
  }
}

TEST_CASE("a choice is one of the choices") {
  LmRequest request = question();
  request.choices = {"yes", "no", "none"};
  std::string said = R"({"choice": "no"})";
  const ApiServer server(
      only_chat([&](const ApiRequest&, const ApiConnection& connection) { connection.stream(said); }));
  RemoteLanguageModel model = model_of(server);
  CHECK(reply_to(model, request) == "no");
  said = "**None.**";
  CHECK(reply_to(model, request) == "none");
  said = "Yes, because it says so";
  CHECK(reply_to(model, request) == "yes");
  said = "nothing of the kind";
  CHECK(error_of(model, server, request).code() == ErrorCode::kCorrupt);
}

TEST_CASE("a reply that repeats its given beginning loses it") {
  std::vector<std::string> pieces;
  const ApiServer server(only_chat([&](const ApiRequest&, const ApiConnection& connection) {
    connection.begin_stream();
    for (const std::string& piece : pieces) connection.text(piece);
    connection.end_stream();
  }));
  RemoteLanguageModel model = model_of(server);
  LmRequest request = question();
  request.assistant_prefix = "The answer is";
  pieces = {"The ans", "wer is", " 42"};
  CHECK(reply_to(model, request) == " 42");
  pieces = {"The ant", " walks"};
  CHECK(reply_to(model, request) == "The ant walks");
  pieces = {"The"};
  CHECK(reply_to(model, request) == "The");
  CHECK_THAT(server.requests(kChat).at(0).json()["messages"][1]["content"].get<std::string>(),
             Catch::Contains("The answer is"));
}

TEST_CASE("busy servers and broken connections are tried again, as long as they ask for") {
  std::atomic<int> n{0};
  SECTION("429 with Retry-After, then 503, then a closed connection") {
    const ApiServer server(only_chat([&](const ApiRequest&, const ApiConnection& connection) {
      ++n;
      if (n == 1) return connection.reply(429, "{}", "Retry-After: 1\r\n");
      if (n == 2) return connection.reply(503, "{}");
      if (n > 3) connection.stream("at last");
    }));
    RemoteLanguageModel model = model_of(server);
    const Stopwatch watch;
    CHECK(reply_to(model, question()) == "at last");
    CHECK(n == 4);
    CHECK(watch.seconds() >= 1);
  }
  SECTION("not for ever") {
    const ApiServer server(only_chat([&](const ApiRequest&, const ApiConnection& connection) {
      ++n;
      connection.reply(429, R"({"error": {"message": "quota of sk-very-secret\nis used up"}})");
    }));
    RemoteLanguageModel model = model_of(server);
    const Error error = error_of(model, server);
    CHECK(error.code() == ErrorCode::kUnavailable);
    CHECK_THAT(error.what(), Catch::Contains("429: quota of *** is used up"));
    CHECK(n == 4);
  }
  SECTION("not for longer than is bearable") {
    const ApiServer server(only_chat([&](const ApiRequest&, const ApiConnection& connection) {
      ++n;
      connection.reply(429, "{}", "Retry-After: 3600\r\n");
    }));
    RemoteLanguageModel model = model_of(server);
    error_of(model, server);
    CHECK(n == 1);
  }
  SECTION("nobody listens") {
    std::string url;
    {
      const ApiServer gone([](const ApiRequest&, const ApiConnection&) {});
      url = gone.url();
    }
    CHECK_THROWS_WITH(RemoteLanguageModel({.url = url, .model = "m", .limits = quick()}, CancelToken()),
                      Catch::Contains(url) && Catch::Contains("start the server"));
  }
}

TEST_CASE("what a bad server does is one error that says what to do") {
  ApiServer::Handler behave;
  const ApiServer server(only_chat(
      [&](const ApiRequest& request, const ApiConnection& connection) { behave(request, connection); }));
  RemoteLanguageModel model = model_of(server);

  SECTION("401") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.reply(401, R"({"error": {"message": "Incorrect API key: sk-very-secret"}})");
    };
    CHECK_THAT(error_of(model, server).what(), Catch::Contains("LECTERN_LLM_API_KEY"));
  }
  SECTION("404") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.reply(404, R"({"error": {"message": "no model m-3b"}})");
    };
    const Error error = error_of(model, server);
    CHECK(error.code() == ErrorCode::kNotFound);
    CHECK_THAT(error.what(), Catch::Contains("no model m-3b") && Catch::Contains("--llm-model"));
  }
  SECTION("the window is overrun") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.reply(400, R"({"error": {"message": "maximum context length is 512 tokens"}})");
    };
    CHECK(error_of(model, server).code() == ErrorCode::kResourceExhausted);
  }
  SECTION("a page instead of an API") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.reply(200, "<html>" + std::string(9000, 'x'));
    };
    CHECK(error_of(model, server).code() == ErrorCode::kCorrupt);
  }
  SECTION("a stream that is no JSON") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.send("data: \x1b[31m{{{{\n\n");
    };
    CHECK(error_of(model, server).code() == ErrorCode::kCorrupt);
  }
  SECTION("JSON of other types") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.event(7);
      c.event({{"choices", "x"}, {"usage", {{"prompt_tokens", 1e300}, {"completion_tokens", "many"}}}});
      c.event({{"choices", {{{"delta", {{"content", {1}}}}, {"finish_reason", 3}}}}});
    };
    CHECK(error_of(model, server).code() == ErrorCode::kUnavailable);
  }
  SECTION("an error in the stream") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.text("so far");
      c.event({{"error", {{"message", "out of memory"}}}});
    };
    CHECK_THAT(error_of(model, server).what(), Catch::Contains("out of memory"));
  }
  SECTION("a line without end") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      while (c.send(std::string(4096, 'a'))) {
      }
    };
    CHECK(error_of(model, server).code() == ErrorCode::kResourceExhausted);
  }
  SECTION("a body without end") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
      while (c.send(std::string(1 << 16, ' '))) {
      }
    };
    CHECK(error_of(model, server).code() == ErrorCode::kResourceExhausted);
  }
  SECTION("a reply without end is cut") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      while (c.text(std::string(100, 'a'))) {
      }
    };
    const LmReply reply = model.chat(question(), {}, CancelToken());
    CHECK(reply.truncated);
    CHECK(reply.text.size() < 10'000);
  }
  SECTION("closed midway") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.text("half");
    };
    CHECK_THAT(error_of(model, server).what(), Catch::Contains("middle of the reply"));
    CHECK(server.requests(kChat).size() == 1);
  }
  SECTION("silent midway") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.begin_stream();
      c.text("half");
      std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    };
    CHECK(error_of(model, server).code() == ErrorCode::kUnavailable);
  }
  SECTION("a redirect is not followed") {
    behave = [](const ApiRequest&, const ApiConnection& c) {
      c.reply(302, "", "Location: http://127.0.0.1:1/v1\r\n");
    };
    CHECK_THAT(error_of(model, server).what(), Catch::Contains("302"));
  }
}

TEST_CASE("fields that a server does not know are left out from then on") {
  const ApiServer server(only_chat([](const ApiRequest& request, const ApiConnection& connection) {
    const Json body = request.json();
    if (body.contains("max_tokens"))
      return connection.reply(400, R"({"error": {"message": "use 'max_completion_tokens' instead"}})");
    if (body.contains("temperature"))
      return connection.reply(400, R"({"error": {"message": "'temperature' is not supported"}})");
    connection.stream("fine");
  }));
  RemoteLanguageModel model = model_of(server);
  CHECK(reply_to(model, question()) == "fine");
  CHECK(reply_to(model, question()) == "fine");
  CHECK(server.requests(kChat).size() == 4);
  CHECK(server.requests(kChat).back().json()["max_completion_tokens"] == 100);
}

TEST_CASE("a server is asked for its model, window and tokenizer") {
  const auto serve = [](const std::string& models, const std::string& props, const std::string& tokenize) {
    return [=](const ApiRequest& request, const ApiConnection& connection) {
      const std::string& body = request.path == "/v1/models"  ? models
                                : request.path == "/props"    ? props
                                : request.path == "/tokenize" ? tokenize
                                                              : "";
      connection.reply(body.empty() ? 404 : 200, body);
    };
  };
  const auto open = [](const ApiServer& server, const std::string& name = "", int context = 0) {
    return std::make_unique<RemoteLanguageModel>(
        RemoteOptions{.url = server.root(), .model = name, .context_tokens = context, .limits = quick()},
        CancelToken());
  };
  SECTION("llama.cpp") {
    const ApiServer server(serve(R"({"data": [{"id": "qwen", "meta": {"n_params": 1.5e9}}]})",
                                 R"({"default_generation_settings": {"n_ctx": 4096}})",
                                 R"({"tokens": [1, 2, 3]})"));
    const auto model = open(server);
    CHECK(model->name() == "qwen");
    CHECK(model->context_tokens() == 4096);
    CHECK(model->billion_parameters() == 1.5);
    CHECK(model->counts_exactly());
    CHECK(model->count_tokens("some text") == 3);
    CHECK(open(server, "", 999)->context_tokens() == 999);
  }
  SECTION("vLLM") {
    const ApiServer server(
        serve(R"({"data": [{"id": "a"}, {"id": "b-7B", "max_model_len": 32768}]})", "", R"({"count": 5})"));
    const auto model = open(server, "b-7B");
    CHECK(model->context_tokens() == 32768);
    CHECK(model->billion_parameters() == 7);
    CHECK(model->count_tokens("some text") == 5);
    CHECK_THROWS_WITH(open(server), Catch::Contains("a, b-7B") && Catch::Contains("--llm-model"));
  }
  SECTION("one that tells nothing, or nonsense") {
    for (const std::string nonsense : {"", "[[[", "7", R"({"data": 7, "tokens": -1, "count": 1e99})"}) {
      const ApiServer server(serve(nonsense, nonsense, nonsense));
      const auto model = open(server, "x");
      CHECK(model->context_is_guessed());
      CHECK(model->context_tokens() == 8192);
      CHECK_FALSE(model->counts_exactly());
      CHECK(model->count_tokens("some text") > 1);
    }
  }
}

TEST_CASE("remote texts are scored by echo where that is sound, by the first token, or not at all") {
  bool sound = true;
  int top = 2;
  const ApiServer server([&](const ApiRequest& request, const ApiConnection& connection) {
    if (request.path == "/v1/completions") {  // a token per character, likelier the further on
      const std::string prompt = request.json()["prompt"];
      Json logprobs = {{"token_logprobs", {nullptr}}, {"text_offset", {0}}};
      for (size_t i = 1; i < prompt.size(); ++i) {
        logprobs["token_logprobs"].push_back(sound ? -1.0 / static_cast<double>(i) : -9.0);
        logprobs["text_offset"].push_back(i);
      }
      return connection.reply(200, dump_json({{"choices", {{{"logprobs", logprobs}}}}}));
    }
    if (request.path != kChat) return connection.reply(404, "{}");
    if (top == 0) return connection.reply(200, R"({"choices": [{"message": {"content": "y"}}]})");
    connection.reply(200, R"({"choices": [{"logprobs": {"content": [{"top_logprobs": [
        {"token": " no", "logprob": -0.5}, {"token": "ye", "logprob": -2.0}]}]}}]})");
  });
  RemoteLanguageModel model = model_of(server);
  const std::vector<LmRequest> requests(6, question("x"));
  SECTION("echo") {
    const std::string prompt = "Be brief.\n\nx\n\n";
    const double at = static_cast<double>(prompt.size());
    const std::vector<double> scores = model.score(requests, "ok", CancelToken());
    REQUIRE(scores.size() == 6);
    for (const double score : scores) CHECK(score == Approx(-(1 / at + 1 / (at + 1)) / 2));
  }
  SECTION("first token") {
    sound = false;
    CHECK(model.score(requests, "yes", CancelToken()).at(5) == Approx(-2.0));
    CHECK(model.score(requests, "maybe", CancelToken()).at(0) == Approx(-2.0));
    CHECK(server.requests("/v1/completions").size() == 1);
    CHECK_THROWS_AS(model.score(requests, "two words", CancelToken()), Error);
  }
  SECTION("neither") {
    sound = false;
    top = 0;
    try {
      model.score(requests, "yes", CancelToken());
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUnsupported);
    }
  }
}

TEST_CASE("no more requests are under way than allowed") {
  std::atomic<int> running{0}, most{0};
  const ApiServer server(only_chat([&](const ApiRequest&, const ApiConnection& connection) {
    most = std::max(most.load(), ++running);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    --running;
    connection.stream("x");
  }));
  RemoteLanguageModel model({.url = server.url(), .model = "m", .max_concurrent = 2, .limits = quick()},
                            CancelToken());
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int i = 0; i < 10; ++i) threads.emplace_back([&] { answered += reply_to(model, question()) == "x"; });
  for (std::thread& thread : threads) thread.join();
  CHECK(answered == 10);
  CHECK(most <= 2);
}

TEST_CASE("a URL or key that cannot be one is refused without being shown") {
  const auto open = [](const std::string& url, const std::string& key) {
    return std::make_unique<RemoteLanguageModel>(RemoteOptions{.url = url, .model = "m", .api_key = key},
                                                 CancelToken());
  };
  for (const std::string url : {"", "localhost:8080", "ftp://h/v1", "http://me:sk-very-secret@h/v1",
                                "http://h/v1?key=sk-very-secret"}) {
    INFO(url);
    try {
      open(url, "");
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kInvalidArgument);
      CHECK_THAT(error.what(), Catch::Contains("--llm") && !Catch::Contains("secret"));
    }
  }
  CHECK_THROWS_WITH(open("http://127.0.0.1:9/v1", "sk-very-secret\r\nX-Evil: 1"),
                    Catch::Contains("LECTERN_LLM_API_KEY") && !Catch::Contains("secret"));
}
