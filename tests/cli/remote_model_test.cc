// The program with a scripted model behind --llm: no local model is needed.
#include "tests/cli/program.h"
#include "tests/support/api_server.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;

namespace {

constexpr const char* kKey = "sk-very-secret";

struct RemoteWorld : World {
  RemoteWorld() { write("good.md", "# Good\n\nThe lighthouse was built in 1850 by Ada Quill.\n"); }

  ApiServer server{[](const ApiRequest& request, const ApiConnection& connection) {
    if (request.path == "/v1/models")
      return connection.reply(200, R"({"data": [{"id": "tiny-1b", "context_length": 4096}]})");
    if (request.path != "/v1/chat/completions") return connection.reply(404, "{}");
    if (request.head.find("Authorization: Bearer sk-very-secret\r\n") == std::string::npos)
      return connection.reply(401, R"({"error": {"message": "no key, or not sk-very-secret"}})");
    connection.stream("The lighthouse was built in 1850 [1].");
  }};
  SubprocessResult ask(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"ask",   documents().string(), "When was the lighthouse built?",
                                          "--llm", server.url(),         "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }

  ScopedVariable lectern_key{"LECTERN_LLM_API_KEY", ""};
  ScopedVariable openai_key{"OPENAI_API_KEY", ""};
};

}  // namespace

TEST_CASE("ask answers with the model behind --llm and cites") {
  const RemoteWorld world;
  SubprocessResult result;
  SECTION("key from our variable before the common one") {
    const ScopedVariable key("LECTERN_LLM_API_KEY", kKey);
    const ScopedVariable other("OPENAI_API_KEY", "sk-other");
    result = world.ask();
  }
  SECTION("key from the common variable") {
    const ScopedVariable key("OPENAI_API_KEY", kKey);
    result = world.ask();
  }
  SECTION("key from a file before both") {
    const ScopedVariable other("LECTERN_LLM_API_KEY", "sk-other");
    write_file_atomically(world.folder() / "key", std::string(kKey) + "\n");
    result = world.ask({"--llm-key-file", (world.folder() / "key").string()});
  }
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const Json answer = World::json(result);
  CHECK(answer["model"] == "tiny-1b");
  CHECK(answer["answer"] == "The lighthouse was built in 1850 [1].");
  CHECK(answer["citations"][0]["quote"] == "The lighthouse was built in 1850 by Ada Quill.");
  CHECK_THAT(result.out + result.err, !Catch::Contains("secret"));
}

TEST_CASE("the error of an answer that broke off begins a line") {
  const RemoteWorld world;
  const ApiServer server([](const ApiRequest& request, const ApiConnection& connection) {
    if (request.path != "/v1/chat/completions") return connection.reply(404, "{}");
    connection.begin_stream();
    connection.text("The lighthouse was built in 1850 by Ada Quill, who lived there. She was");
  });
  const std::vector<std::string> ask = {"ask",
                                        world.documents().string(),
                                        "When was the lighthouse built?",
                                        "--llm",
                                        server.url(),
                                        "--llm-model",
                                        "m",
                                        "--llm-context",
                                        "4096"};
  const SubprocessResult broken = world.run(ask);
  CHECK(broken.exit_code == 2);
  INFO(broken.out);
  REQUIRE_FALSE(broken.out.empty());
  CHECK(broken.out.ends_with('\n'));
  std::vector<std::string> as_json = ask;
  as_json.emplace_back("--json");
  CHECK(World::json(world.run(as_json)).contains("error"));
}

TEST_CASE("a question that is too long for the model is named, and what was measured before it is printed") {
  const RemoteWorld world;
  const ScopedVariable key("LECTERN_LLM_API_KEY", kKey);
  std::string question = "When";
  while (question.size() < 100'000) question += " was the lighthouse built";
  const auto file = world.folder() / "questions.json";
  write_file_atomically(
      file,
      dump_json(
          {{{"question", "When was the lighthouse built?"}, {"answers", {"1850"}}, {"files", {"good.md"}}},
           {{"question", question}, {"answers", {"1"}}, {"files", {"good.md"}}}}));
  const SubprocessResult result =
      world.run({"eval", "folder", world.documents().string(), "--questions", file.string(), "--level", "1",
                 "--llm", world.server.url(), "-q", "--json"});
  CHECK(result.exit_code == 2);
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("questions.json: entry 2: "));
  const Json measured = World::json(result);
  CHECK(measured["n"] == 1);
  CHECK(measured["contains"] == 1);
  CHECK(measured["missed"].empty());
  CHECK_THAT(measured["failed"].get<std::string>(), Catch::Contains("entry 2: "));
}

TEST_CASE("a refused key is one error that does not show it") {
  const RemoteWorld world;
  world.ask();  // now there is nothing to index, and no word about it
  const SubprocessResult result = world.ask();
  CHECK(result.exit_code == 2);
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("401") && Catch::Contains("LECTERN_LLM_API_KEY"));
}

TEST_CASE(
    "the options --llm and --model exclude each other, and a flag wins over a server in the environment") {
  const RemoteWorld world;
  const SubprocessResult both = world.ask({"--model", "x.gguf"});
  CHECK(both.exit_code == 2);
  CHECK(is_one_error(both.err));
  const ScopedVariable llm("LECTERN_LLM", world.server.url());
  const SubprocessResult local =
      world.run({"ask", world.documents().string(), "When?", "--model", "/nowhere/x.gguf"});
  CHECK(local.exit_code == 2);
  CHECK_THAT(local.err, Catch::Contains("x.gguf"));
  CHECK(world.server.requests("/v1/models").empty());
}

TEST_CASE("doctor says whether the server answers") {
  const RemoteWorld world;
  const SubprocessResult good = world.run({"doctor", "--llm", world.server.url()});
  CHECK_THAT(good.out, Catch::Contains("tiny-1b, 4096 tokens"));
  const SubprocessResult bad = world.run({"doctor", "--llm", "http://me:secret@127.0.0.1:1/v1"});
  CHECK(bad.exit_code == 2);
  CHECK_THAT(bad.out + bad.err, !Catch::Contains("secret"));
}
